"""The demo's summary: what went in, what came out, what was lost; as text and as JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from ops.verify.report import VerifyReport


class Latency(msgspec.Struct, frozen=True):
    """Quantiles in ms, from the record's CreateTime to its assignment; null if nothing was tagged.

    Read off the worker's histogram: true to a bucket, whose bounds grow by half.
    """

    p50: float | None
    p99: float | None


class Verdict(msgspec.Struct, frozen=True):
    """Buyers of the offline fold, and how the online rows differ from it."""

    buyers: int
    different: int
    missing: int
    extra: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What `simpersona demo --summary` writes.

    events_in: records that Kafka acknowledged. assignments_out: records on persona-assignments.
    dead_letters: refused records, each once, by reason. buyers: who was said to be some persona.
    events_per_s: events_in / seconds. seconds: from the first event sent until the store's last
    checkpoint covered the last one. seed: of the generated traffic; null for a file. bundle: the
    codebook version. lost: see `count_lost`. api_url and api_key (of every store): with --stay only.
    """

    events_in: int
    assignments_out: int
    dead_letters: dict[str, int]
    buyers: int
    events_per_s: float
    event_to_tag_ms: Latency
    lost: int
    verify: Verdict
    seconds: float
    seed: int | None
    bundle: str
    api_url: str | msgspec.UnsetType = msgspec.UNSET
    api_key: str | msgspec.UnsetType = msgspec.UNSET


def count_lost(acknowledged: int, covered: int, report: VerifyReport) -> int:
    """What went in and has no trace.

    Records that Kafka acknowledged beyond those that the store's progress covers (a partition's progress
    is the number of its records folded or refused), buyers of the offline fold without a row, and buyers
    whose present code was never assigned.
    """
    return max(0, acknowledged - covered) + report.missing + report.unsaid


def write_summary(path: Path, summary: Summary) -> None:
    """Write it as JSON, whole or not at all; for its owner alone, since it may hold a key."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    draft.replace(path)


def as_table(summary: Summary, report: VerifyReport, source: dict[str, int]) -> Table:
    """The summary for a person; `source` counts records of the file that were no events, by reason."""
    latency = summary.event_to_tag_ms
    rows: list[tuple[str, Any]] = [
        ("events in", f"{summary.events_in:,}"),
        *((f"  not sent: {reason}", f"{count:,}") for reason, count in source.items()),
        ("assignments out", f"{summary.assignments_out:,}"),
        ("dead letters", f"{sum(summary.dead_letters.values()):,}"),
        *((f"  {reason}", f"{count:,}") for reason, count in summary.dead_letters.items()),
        ("buyers", f"{summary.buyers:,}"),
        ("throughput", f"{summary.events_per_s:,.0f} events/s over {summary.seconds:.1f} s"),
        ("event to tag p50 / p99", _milliseconds(latency.p50) + " / " + _milliseconds(latency.p99)),
        ("lost", f"{summary.lost:,}"),
        ("online == offline fold", "yes" if report.equal else "NO"),
        ("  buyers", _counts(report, "buyers", "different", "missing", "extra")),
        ("  assignments", _counts(report, "assignments", "contradicting", "unsaid")),
        ("bundle", summary.bundle),
    ]
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(name, value)
    return table


def _counts(report: VerifyReport, total: str, *faults: str) -> str:
    return ", ".join(
        [f"{getattr(report, total):,}", *(f"{getattr(report, name):,} {name}" for name in faults)]
    )


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"
