"""`make bench`: the live path against its peers, on one topic, one fold, one encoder, one machine.

    python -m bench.live_path [--quick] [--only NAME]...

Each peer runs alone, in turn, on cores of its own; Kafka, Valkey and this driver have the others.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.table import Table

from bench.comparison.environments import python_of
from bench.comparison.errors import TrialError
from bench.comparison.peers import OURS, PEERS, ROOT, Peer
from bench.comparison.report import HEADER, Comparison, Entry, rows, write
from bench.comparison.trial import Latency, Track, Trial, latency, trial
from bench.comparison.workload import Workload, fill
from bench.document import machine
from feature_store.errors import SimpersonaError
from ops.stack.kafka_files import KAFKA_VERSION
from ops.stack.local import LocalStack

RESULTS: Final = ROOT / "bench" / "results" / "live_path.json"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
_RATE: Final = 5_000.0
_LIVE_S: Final = 20.0
_QUICK_LIVE_S: Final = 8.0
_HEADROOM: Final = 2.0
_SLOW_SHARE: Final = 0.25
"""Who folds a backlog at less than twice the rate gets a quarter of it: else a queue is measured."""
_LAP_LIMIT_S: Final = 120.0


def cores() -> tuple[frozenset[int] | None, frozenset[int] | None]:
    """(the peer's, everyone else's): one for the peer; None where cores cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    *others, last = sorted(os.sched_getaffinity(0))
    return (frozenset({last}), frozenset(others)) if others else (None, None)


def say(line: str) -> None:
    """Progress, for a person."""
    click.echo(f"== {line}", err=True)


def hold(
    track: Track, peers: Sequence[Peer], events: int, seed: int, repeats: int, live_s: float
) -> list[Entry]:
    """Fill the courses, let everyone run in turn `repeats` times, then follow live traffic."""
    pythons = {c.name: python_of(c.requirements, say) for c in peers}
    courses: dict[int, Workload] = {}
    trials: dict[str, list[Trial]] = {c.name: [] for c in peers}
    failed: dict[str, str] = {}
    for count in sorted({int(events * c.share) for c in peers}):
        say(f"filling a topic with {count:,} events")
        courses[count] = fill(track.kafka, f"clickstream-{count}", count, seed)
    for number in range(repeats):
        for c in peers:
            if c.name in failed:
                continue
            try:
                done = trial(track, c, pythons[c.name], courses[int(events * c.share)], _LAP_LIMIT_S)
            except TrialError as error:
                failed[c.name] = str(error)
                say(f"{c.title}: {error}")
                continue
            trials[c.name].append(done)
            say(f"{c.title}, trial {number + 1} of {repeats}: {done.events / done.seconds:,.0f} events/s")
    entries = []
    for c in peers:
        entry = Entry(
            name=c.name, title=c.title, trials=trials[c.name], latency=None, failed=failed.get(c.name)
        )
        if c.name not in failed:
            entry = msgspec.structs.replace(
                entry, latency=_follow(track, c, pythons[c.name], entry, live_s, seed)
            )
        entries.append(entry)
    return entries


def _follow(track: Track, c: Peer, python: Path, entry: Entry, seconds: float, seed: int) -> Latency | None:
    speed = entry.events_per_s
    rate = _RATE if speed >= _HEADROOM * _RATE else float(max(1, int(speed * _SLOW_SHARE)))
    try:
        steady = latency(track, c, python, rate, seconds, seed + 1)
    except TrialError as error:
        say(f"{c.title} at {rate:,.0f} events/s: {error}")
        return None
    say(f"{c.title} at {rate:,.0f} events/s: p50 {steady.p50_ms:.0f} ms, p99 {steady.p99_ms:.0f} ms")
    return steady


def describe_machine() -> dict[str, str]:
    """What the figures depend on, in words."""
    about = machine()
    return about | {"cores": f"{about['cores']}, one for the peer"}


def describe_versions() -> dict[str, str]:
    """Kafka's, and the packages' that are compared; peers' are pinned in requirements/bench-*.txt."""
    found = {"Kafka": KAFKA_VERSION}
    for name in ("simpersona", "faust-streaming", "feast", "confluent-kafka", "onnxruntime"):
        found[name] = version(name)
    for c in PEERS:
        if c.requirements is not None:
            pins = (ROOT / "requirements" / f"{c.requirements}.txt").read_text().splitlines()
            package = "quixstreams" if c.name == "quix" else c.name
            found[package] = next(p for p in pins if p.startswith(f"{package}==")).split("==")[1].split()[0]
    return found


def print_table(comparison: Comparison) -> None:
    """The table on stdout."""
    table = Table(*HEADER)
    for row in rows(comparison):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@click.command()
@click.option("--quick", is_flag=True, help="One trial over fewer events: minutes less, figures rougher.")
@click.option("--events", default=400_000, show_default=True, help="Events of the whole workload.")
@click.option("--repeats", default=3, show_default=True, help="Laps of each peer; medians are reported.")
@click.option("--seed", default=7, show_default=True, help="Seed of the generated traffic.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([c.name for c in PEERS]),
    help="Comparison only these peers (repeatable).",
)
def main(quick: bool, events: int, repeats: int, seed: int, only: tuple[str, ...]) -> None:
    """Compare the live path with its peers; a whole run writes figures and the docs' table."""
    if quick:
        events, repeats = events // 4, 1
    peers = [c for c in PEERS if not only or c.name in only]
    contestant_cores, other_cores = cores()
    if other_cores is not None:
        os.sched_setaffinity(0, other_cores)  # the servers inherit it
    folder = Path(tempfile.mkdtemp(prefix="simpersona-comparison-"))
    try:
        with LocalStack(folder, owned=True, say=say) as stack:
            track = Track(stack, stack.up(), folder, contestant_cores)
            entries = hold(track, [OURS, *peers], events, seed, repeats, _QUICK_LIVE_S if quick else _LIVE_S)
    except SimpersonaError as error:
        raise click.ClickException(str(error)) from error
    comparison = Comparison(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        command=" ".join(
            ["make bench", *(['ARGS="' + " ".join(sys.argv[1:]) + '"'] if sys.argv[1:] else [])]
        ),
        machine=describe_machine(),
        versions=describe_versions(),
        seed=seed,
        entries=entries,
    )
    print_table(comparison)
    failed = [entry.title for entry in entries if entry.failed]
    if failed:
        raise click.ClickException(f"not through: {', '.join(failed)}; logs are in {folder}")
    shutil.rmtree(folder)
    if not quick and not only:
        write(comparison, RESULTS, DOCUMENT)
        say(f"written: {RESULTS.relative_to(ROOT)}, {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
