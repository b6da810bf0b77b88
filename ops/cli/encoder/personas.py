"""`simpersona personas`: the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle
from ops.cli.options import bundle_option
from ops.documents.personas import as_json as entry
from ops.documents.personas import page
from ops.store_mix import mix_of


@click.command()
@click.option("--store", help="Beside all buyers, show the mix of this store.")
@click.option("--type", "type_", metavar="NAME", help="One type and its most common codes.")
@click.option("--code", type=click.IntRange(0, 255), help="One code's card.")
@bundle_option
@click.option("--json", "as_json", is_flag=True, help="The catalogue, or the one entry, as JSON on stdout.")
def personas(
    store: str | None, type_: str | None, code: int | None, bundle: Path | None, as_json: bool
) -> None:
    """Who the buyers are: the types of a bundle, what each does, and its codes.

    Made from training buyers. `only look` and its like are shares of buyers; places on an axis are mean
    percentiles; a session is shown in a form that at least five buyers share.
    """
    if type_ is not None and code is not None:
        raise click.UsageError("--type and --code show one entry each: give one of them")

    loaded = load_bundle(bundle or active_bundle())
    mix = None if store is None else mix_of(loaded, store, "reference")
    if as_json:
        click.echo(json.dumps(entry(loaded, mix, type_, code)))
        return
    console = Console(highlight=False)
    console.print(page(loaded, mix, type_, code))
    if mix is not None:
        console.print(f"\n{store}: {mix.note}")
