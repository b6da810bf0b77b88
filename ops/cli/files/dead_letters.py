"""`simpersona events dead-letters`: what was refused, by reason, field and sender."""

from __future__ import annotations

import re
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec

from feature_store.log.config import KafkaSettings, librdkafka_config
from feature_store.log.erasures import ErasureLog
from ops.cli.options import json_option
from ops.refusals.letters import LetterTally, read_letters
from streams.settings import WorkerSettings

_AGE: Final = re.compile(r"(\d{1,6})([mhd])")
_UNIT_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


class _Since(click.ParamType):
    """How far back, or a moment -> ms UTC."""

    name = "AGE|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if (age := _AGE.fullmatch(value)) is not None:
            return time.time_ns() // 1_000_000 - int(age[1]) * _UNIT_MS[age[2]]
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither an age (30m, 24h, 7d) nor a time in ISO 8601", param, ctx)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@click.command("dead-letters")
@click.option("--store", help="Only of this store. Default: of all, and records that name none.")
@click.option("--since", type=_Since(), default="7d", show_default=True, help="30m, 24h, 7d, or a time.")
@json_option
def dead_letters(store: str | None, since: int, as_json: bool) -> None:
    """Show the records that workers refused: reason, field, store, and how such a record is built.

    In an example every letter of a value is a or A and every digit is 9. Letters of erased buyers are left
    out. After a fix, `simpersona events replay --dead-letters` sends them back.
    """
    settings = WorkerSettings()
    kafka = librdkafka_config(KafkaSettings())
    with closing(ErasureLog(kafka, settings.erasures_topic)) as erasures:
        erasures.refresh()
        tally = read_letters(kafka, settings.dead_letters_topic, erasures, since=since, store=store)
    if as_json:
        click.echo(msgspec.json.encode({"since": since, **msgspec.to_builtins(tally)}).decode())
        return
    _echo(tally, since)


def _echo(tally: LetterTally, since: int) -> None:
    click.echo(f"{sum(group.count for group in tally.groups):,} dead letters since {_when(since)}")
    for group in tally.groups:
        click.echo(
            f"\n{group.count:,} {group.reason}, field {group.field or '(none named)'}, "
            f"store {group.store or '(not known)'}, {_when(group.first)} to {_when(group.last)}"
        )
        click.echo(f"  {group.detail}")
        click.echo(f"  {group.example}")
    if tally.groups:
        click.echo("\nafter a fix: simpersona events replay --dead-letters --dry-run")


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
