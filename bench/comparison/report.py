"""The comparison as figures (JSON), and the figures as a table."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

import msgspec

from bench.comparison.trial import Latency, Trial
from bench.document import put, table

BEGIN: Final = "<!-- comparison: made by `make bench` -->"
END: Final = "<!-- comparison: end -->"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one peer did; no trials where it failed, and why."""

    name: str
    title: str
    trials: list[Trial]
    latency: Latency | None
    failed: str | None = None

    @property
    def events_per_s(self) -> float:
        """Median over the trials."""
        return statistics.median(trial.events / trial.seconds for trial in self.trials)

    @property
    def cpu_s_per_million(self) -> float:
        """Median CPU seconds of the peer's own processes per million events."""
        return statistics.median(1e6 * trial.cpu_s / trial.events for trial in self.trials)

    @property
    def server_cpu_s_per_million(self) -> float:
        """Median CPU seconds of Kafka and Valkey a million events."""
        return statistics.median(1e6 * trial.server_cpu_s / trial.events for trial in self.trials)

    @property
    def peak_rss_mb(self) -> float:
        """Median of the trials' peaks."""
        return statistics.median(trial.peak_rss_bytes for trial in self.trials) / 2**20


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: when, where, on what, and what each did; ours is the first entry."""

    date: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    seed: int
    entries: list[Entry]


HEADER: Final = (
    "peer",
    "events",
    "events/s",
    "ours is faster",
    "CPU s per 1M events",
    "servers' CPU s per 1M",
    "peak memory MB",
    "at events/s",
    "p50 ms",
    "p99 ms",
)


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """The table's cells, one row per peer."""
    ours = comparison.entries[0]
    return [_row(entry, ours) for entry in comparison.entries]


def _row(entry: Entry, ours: Entry) -> tuple[str, ...]:
    if not entry.trials:
        return (entry.title, "failed", *[""] * (len(HEADER) - 2))
    ratio = "" if entry is ours or not ours.trials else f"{ours.events_per_s / entry.events_per_s:.1f}x"
    steady = entry.latency
    return (
        entry.title,
        f"{entry.trials[0].events:,}",
        f"{entry.events_per_s:,.0f}",
        ratio,
        f"{entry.cpu_s_per_million:,.1f}",
        f"{entry.server_cpu_s_per_million:,.1f}",
        f"{entry.peak_rss_mb:,.0f}",
        *(
            ("", "", "")
            if steady is None
            else (f"{steady.rate:,.0f}", f"{steady.p50_ms:.0f}", f"{steady.p99_ms:.0f}")
        ),
    )


def markdown(comparison: Comparison) -> str:
    """The table and where it was measured, for the documentation."""
    machine = ", ".join(comparison.machine.values())
    versions = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    trials = max(len(entry.trials) for entry in comparison.entries)
    return (
        f"{table(HEADER, rows(comparison))}\n\n"
        f"`{comparison.command}`, {comparison.date}; median of {trials}; "
        f"seed {comparison.seed}. {machine}. {versions}."
    )


def write(comparison: Comparison, results: Path, document: Path) -> None:
    """Write the figures as JSON, and the table into its place in the document."""
    results.parent.mkdir(exist_ok=True)
    results.write_bytes(msgspec.json.format(msgspec.json.encode(comparison), indent=2) + b"\n")
    put(document, BEGIN, END, markdown(comparison))
