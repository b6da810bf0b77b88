"""`simpersona sample`: a population of persona tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import click

from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle
from inference.population import draw_codes, only_codes, tokens
from ops.cli.options import bundle_option, json_option
from ops.store_mix import Source, mix_of


def _types(_context: click.Context, _parameter: click.Parameter, filters: tuple[str, ...]) -> tuple[str, ...]:
    names = []
    for text in filters:
        key, _, name = text.partition("=")
        if key != "type" or not name:
            raise click.BadParameter(f"{text!r} is no filter; write type=NAME (see `simpersona personas`)")
        names.append(name)
    return tuple(names)


@click.command()
@click.option("--store", required=True, help="Whose buyers; a store never seen has the mix of all stores.")
@click.option("-n", "--count", "n", default=10, show_default=True, type=click.IntRange(min=0, max=10_000_000))
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Same seed, same tokens."
)
@click.option(
    "--filter",
    "types",
    multiple=True,
    callback=_types,
    metavar="type=NAME",
    help="Only buyers of a type; may be given several times.",
)
@click.option(
    "--source",
    type=click.Choice(get_args(Source)),
    default="reference",
    show_default=True,
    help="reference: the bundle's training buyers; live: what workers counted lately.",
)
@bundle_option
@json_option
def sample(
    store: str, n: int, seed: int, types: tuple[str, ...], source: Source, bundle: Path | None, as_json: bool
) -> None:
    """Draw persona tokens from p_s(k), the mix of a store's buyers: one token per line.

    A store with few buyers is drawn towards the mix of all stores (as if by 100 more buyers of it); what
    the mix rests on is said on stderr.
    """
    loaded = load_bundle(bundle or active_bundle())
    mix = mix_of(loaded, store, source)
    if types:
        mix = only_codes(mix, [code for name in types for code in loaded.catalogue.require_type(name).codes])
    drawn = tokens(draw_codes(mix, n, seed))
    if not as_json:
        click.echo(f"{store}: {mix.note}", err=True)
        click.echo("".join(f"{token}\n" for token in drawn), nl=False)
        return
    report = {
        "store": store,
        "source": source,
        "codebook_version": loaded.codebook_version,
        "types": list(types),
        "seed": seed,
        "n": n,
        "buyers": mix.buyers,
        "pooled_share": round(mix.pooled_share, 4),
        "note": mix.note,
        "tokens": drawn,
    }
    click.echo(json.dumps(report))
