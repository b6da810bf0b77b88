"""`simpersona events inspect`: what a file is, and a mapping that reads it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from feature_store.contract.names import NAME_RULE, is_name
from feature_store.errors import EventSourceError
from feature_store.sources.choice import zone_of
from feature_store.sources.inspecting.inspection import Inspection, inspect_file
from feature_store.sources.inspecting.reading import records_of
from ops.cli.options import json_option


@click.command("inspect")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--store", help="Shop of the file, for the mapping.")
@click.option(
    "--timezone", metavar="ZONE", help="Zone of times that name none, for the mapping: Europe/Berlin."
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Mapping file to write (docs/mapping.md)."
)
@json_option
def inspect(path: Path, store: str | None, timezone: str | None, out: Path | None, as_json: bool) -> None:
    """Look at a file that nobody described, say what it is, and write a mapping that reads it.

    It looks at a sample: fields are recognised by name and by what their values look like, events by their
    names. Read the mapping before you rely on it, then try it: `simpersona events check PATH --mapping FILE`.
    """
    if store is not None and not is_name(store):
        raise click.BadParameter(f"a store is {NAME_RULE}", param_hint="--store")
    if timezone is not None:
        zone_of(timezone)
    layout, records = records_of(path)
    found = inspect_file(path, layout, records, store, timezone)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), default=str))
    else:
        _echo(found)
    if found.missing:
        raise EventSourceError(
            f"{path}: no field looks like {' or '.join(found.missing)}; "
            "write a mapping by hand (docs/mapping.md)"
        )
    if out is not None:
        out.write_text(found.mapping, encoding="utf-8")
        if not as_json:
            named = "" if store else " --store NAME"
            click.echo(f"  written to {out}; next: simpersona events check {path} --mapping {out}{named}")


def _echo(found: Inspection) -> None:
    click.echo(f"{found.path}: {found.layout}, {found.records:,} records looked at")
    if found.each is not None:
        click.echo(f"  each item of {found.each} is an event")
    click.echo(f"  times       {found.time_unit}{f', zone {found.zone}' if found.zone else ''}")
    for place in found.places:
        click.echo(f"  {place.role:11} {place.path}  (in {place.filled:.0%} of the records)")
    for named in found.names:
        click.echo(f"  event       {named.name!r} x{named.count:,}: {named.becomes or 'not known'}")
    click.echo(f"  {found.events:,} events from the sample; bots {found.bots:.1%}")
    for reason, count in found.lost.items():
        click.echo(f"  lost        {reason} {count:,}")
    for field, count in found.emptied.items():
        click.echo(f"  left out    {field} {count:,}")
    for detail in found.details:
        click.echo(f"  {detail}")
    for example in found.examples:
        click.echo(f"  {json.dumps(example, ensure_ascii=False)}")
