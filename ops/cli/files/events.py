"""`simpersona events`: check and convert files of events, print the contract, make and send traffic."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from feature_store.contract.events import json_schema
from feature_store.contract.identity import LazyBuyerHasher, PlainIds
from feature_store.errors import EventSourceError
from feature_store.settings import HomeSettings
from feature_store.sources.choice import SourceChoice
from feature_store.sources.reader import open_chosen
from feature_store.sources.repeats import RepeatCounter
from feature_store.sources.report import SourceReport
from feature_store.sources.writer import write_events
from ops.cli.files.dead_letters import dead_letters
from ops.cli.files.inspect import inspect
from ops.cli.files.source_options import source_options
from ops.cli.files.traffic import generate, replay
from ops.cli.options import json_option

_SHOWN = 5
_FILE = click.Path(path_type=Path)
_FILE_ARGUMENT = click.argument("path", type=_FILE)


@click.group()
def events() -> None:
    """Files of events: check, convert, generate, replay; the event contract."""


events.add_command(dead_letters)
events.add_command(generate)
events.add_command(inspect)
events.add_command(replay)


@events.command()
@_FILE_ARGUMENT
@source_options
@json_option
def check(path: Path, source: SourceChoice, as_json: bool) -> None:
    """Read a file of events and say what is in it; exit 1 if a record is invalid.

    Repeated: events that carry the buyer and event_id of one among the 100,000 before them, and would change
    nothing.
    """
    opened = open_chosen(path, PlainIds(), source)
    repeats = RepeatCounter()
    for batch in opened.batches():
        repeats.add(batch)
    _echo(opened.report, as_json, repeated=repeats.repeated)
    _require_events(opened.report)
    if opened.report.invalid:
        raise EventSourceError(f"{path}: {sum(opened.report.invalid.values()):,} invalid")


@events.command()
@_FILE_ARGUMENT
@source_options
@click.option("--out", required=True, type=_FILE, help="File: .ndjson, .jsonl or .parquet.")
@json_option
def convert(path: Path, source: SourceChoice, out: Path, as_json: bool) -> None:
    """Write a file's events as contract events; invalid records are left out and reported.

    Buyer ids of vendor payloads and mapped pixels become pseudonyms under the key of buyer ids.
    """
    opened = open_chosen(path, LazyBuyerHasher(HomeSettings().home), source)
    write_events(out, opened.batches())
    _echo(opened.report, as_json, out=str(out))
    _require_events(opened.report)


@events.command()
def schema() -> None:
    """Print the JSON Schema of an event (docs/event.schema.json)."""
    click.echo(json.dumps(json_schema(), indent=2))


def _require_events(report: SourceReport) -> None:
    if report.events:
        return
    hint = ""
    if report.format == "contract":
        hint = (
            "; a vendor's file needs --format, an own one --mapping, which `simpersona events inspect` writes"
            if report.looks_like is None
            else f"; it looks like {report.looks_like}: add --format {report.looks_like} --store NAME"
        )
    raise EventSourceError(f"{report.path}: none of {report.records:,} records became an event{hint}")


def _echo(report: SourceReport, as_json: bool, **more: Any) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(report) | more))
        return
    click.echo(f"{report.path} ({report.format}): {report.records:,} records, {report.events:,} events")
    for sentence in report.read_as:
        click.echo(f"  read as     {sentence}")
    if report.files > 1 or report.ignored:
        ignored = f"; left out: {', '.join(report.ignored[:_SHOWN])}" if report.ignored else ""
        more_ignored = f" and {len(report.ignored) - _SHOWN} more" if len(report.ignored) > _SHOWN else ""
        click.echo(f"  files       {report.files:,}{ignored}{more_ignored}")
    if report.first_timestamp is not None and report.last_timestamp is not None:
        click.echo(f"  event time  {_iso(report.first_timestamp)} to {_iso(report.last_timestamp)}")
    for title, counts in (("type", report.types), ("skipped", report.skipped), ("invalid", report.invalid)):
        for name, count in sorted(counts.items(), key=lambda item: -item[1]):
            click.echo(f"  {title:11} {name:18} {count:>11,}")
    for name, unknown in sorted(report.unmapped.items(), key=lambda item: -item[1].count):
        nearest = "" if unknown.nearest is None else f"  do they mean {unknown.nearest}?"
        click.echo(f"  {'unmapped':11} {name:30} {unknown.count:>11,}{nearest}")
    for kind in ("repaired", "emptied", "assumed"):
        for field, reasons in getattr(report, kind).items():
            for reason, found in reasons.items():
                click.echo(f"  {kind:11} {f'{field} {reason}':30} {found.count:>11,}  like {found.form}")
    for example in report.examples:
        click.echo(f"  {example}")
    for name, value in more.items():
        click.echo(f"  {name:11} {value}")


def _iso(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
