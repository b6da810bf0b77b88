"""`simpersona events`: check and convert files of events, print the contract, make and send traffic."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ops.cli.traffic import FORMATS, generate, replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from feature_store.sources.reader import SourceReport

_FILE = click.Path(path_type=Path)


@click.group()
def events() -> None:
    """Files of events: check, convert, generate, replay; the event contract."""


events.add_command(generate)
events.add_command(replay)


def _source_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.argument("path", type=_FILE),
        click.option("--format", "kind", type=click.Choice(FORMATS), help="Where the file does not say it."),
        click.option("--mapping", type=_FILE, help="Mapping file of a shop's own pixel (docs/adapters.md)."),
        click.option("--store", help="Shop of a vendor's or mapped file."),
        click.option("--json", "as_json", is_flag=True, help="Report as JSON on stdout."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@events.command()
@_source_options
def check(path: Path, kind: str | None, mapping: Path | None, store: str | None, as_json: bool) -> None:
    """Read a file of events and say what is in it; exit 1 if a record is invalid.

    Repeated: events that carry the buyer and event_id of one among the 100,000 before them, and would change
    nothing.
    """
    from feature_store.contract.identity import PlainIds
    from feature_store.errors import EventSourceError
    from feature_store.sources.reader import Format, open_events
    from feature_store.sources.repeats import RepeatCounter

    source = open_events(
        path,
        identity=PlainIds(),
        kind=None if kind is None else Format(kind),
        mapping=mapping,
        store=store,
    )
    repeats = RepeatCounter()
    for batch in source.batches():
        repeats.add(batch)
    _echo(source.report, as_json, repeated=repeats.repeated)
    _require_events(source.report)
    if source.report.invalid:
        raise EventSourceError(f"{path}: {sum(source.report.invalid.values()):,} invalid")


@events.command()
@_source_options
@click.option("--out", required=True, type=_FILE, help="File: .ndjson, .jsonl or .parquet.")
def convert(
    path: Path, kind: str | None, mapping: Path | None, store: str | None, as_json: bool, out: Path
) -> None:
    """Write a file's events as contract events; invalid records are left out and reported.

    Buyer ids of vendor payloads and mapped pixels become pseudonyms under the key of buyer ids.
    """
    from feature_store.contract.identity import LazyBuyerHasher
    from feature_store.settings import HomeSettings
    from feature_store.sources.reader import Format, open_events
    from feature_store.sources.writer import write_events

    source = open_events(
        path,
        identity=LazyBuyerHasher(HomeSettings().home),
        kind=None if kind is None else Format(kind),
        mapping=mapping,
        store=store,
    )
    write_events(out, source.batches())
    _echo(source.report, as_json, out=str(out))
    _require_events(source.report)


@events.command()
def schema() -> None:
    """Print the JSON Schema of an event (docs/event.schema.json)."""
    from feature_store.contract.events import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


def _require_events(report: SourceReport) -> None:
    from feature_store.errors import EventSourceError

    if report.events:
        return
    hint = ""
    if report.format == "contract":
        hint = "; a vendor's file needs --format, an own pixel's --mapping"
    raise EventSourceError(f"{report.path}: none of {report.records:,} records became an event{hint}")


def _echo(report: SourceReport, as_json: bool, **more: Any) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(report) | more))
        return
    click.echo(f"{report.path} ({report.format}): {report.records:,} records, {report.events:,} events")
    if report.first_timestamp is not None and report.last_timestamp is not None:
        click.echo(f"  event time  {_iso(report.first_timestamp)} to {_iso(report.last_timestamp)}")
    for title, counts in (("type", report.types), ("skipped", report.skipped), ("invalid", report.invalid)):
        for name, count in sorted(counts.items(), key=lambda item: -item[1]):
            click.echo(f"  {title:11} {name:18} {count:>11,}")
    for example in report.examples:
        click.echo(f"  {example}")
    for name, value in more.items():
        click.echo(f"  {name:11} {value}")


def _iso(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
