"""The race as figures (JSON), and the figures as a table."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

import msgspec

from bench.document import put, table
from bench.heat import Lap, Latency

BEGIN: Final = "<!-- race: made by `make bench` -->"
END: Final = "<!-- race: end -->"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one contestant did; no laps where it failed, and why."""

    name: str
    title: str
    laps: list[Lap]
    latency: Latency | None
    failed: str | None = None

    @property
    def events_per_s(self) -> float:
        """Median over the laps."""
        return statistics.median(lap.events / lap.seconds for lap in self.laps)

    @property
    def cpu_s_per_million(self) -> float:
        """Median CPU seconds of the contestant's own processes a million events."""
        return statistics.median(1e6 * lap.cpu_s / lap.events for lap in self.laps)

    @property
    def server_cpu_s_per_million(self) -> float:
        """Median CPU seconds of Kafka and Valkey a million events."""
        return statistics.median(1e6 * lap.server_cpu_s / lap.events for lap in self.laps)

    @property
    def peak_rss_mb(self) -> float:
        """Median of the laps' peaks."""
        return statistics.median(lap.peak_rss_bytes for lap in self.laps) / 2**20


class Race(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: when, where, on what, and what each did; ours is the first entry."""

    date: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    seed: int
    entries: list[Entry]


HEADER: Final = (
    "contestant",
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


def rows(race: Race) -> list[tuple[str, ...]]:
    """The table's cells, one row a contestant."""
    ours = race.entries[0]
    return [_row(entry, ours) for entry in race.entries]


def _row(entry: Entry, ours: Entry) -> tuple[str, ...]:
    if not entry.laps:
        return (entry.title, "failed", *[""] * (len(HEADER) - 2))
    ratio = "" if entry is ours or not ours.laps else f"{ours.events_per_s / entry.events_per_s:.1f}x"
    steady = entry.latency
    return (
        entry.title,
        f"{entry.laps[0].events:,}",
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


def markdown(race: Race) -> str:
    """The table and where it was measured, for the documentation."""
    machine = ", ".join(race.machine.values())
    versions = ", ".join(f"{name} {version}" for name, version in race.versions.items())
    laps = max(len(entry.laps) for entry in race.entries)
    return (
        f"{table(HEADER, rows(race))}\n\n"
        f"`{race.command}`, {race.date}; median of {laps}; seed {race.seed}. {machine}. {versions}."
    )


def write(race: Race, results: Path, document: Path) -> None:
    """Write the figures as JSON, and the table into its place in the document."""
    results.parent.mkdir(exist_ok=True)
    results.write_bytes(msgspec.json.format(msgspec.json.encode(race), indent=2) + b"\n")
    put(document, BEGIN, END, markdown(race))
