"""`make simulate ARGS="--histories N --seed S"`: live through histories; exit 1 at one that goes wrong."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from tests.simulation.chunk import live_through, silence
from tests.simulation.history import run
from tests.simulation.report import write_report
from tests.simulation.shrink import shrink
from tests.simulation.steps import draw

_CHUNK: Final = 250
_ROOT: Final = Path(__file__).resolve().parents[2]
_ROOMS: Final = ("feature_store", "inference", "streams", "ops/verify", "tests/simulation")


@click.command(help=__doc__)
@click.option("--histories", default=1_000, show_default=True, help="How many.")
@click.option("--seed", default=1, show_default=True, help="Seed of the first; the next one's is one more.")
@click.option("--processes", default=2, show_default=True, help="How many at once.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=_ROOT / "build" / "simulation",
    help="Folder that remembers what is done (build/simulation): a run that was stopped goes on.",
)
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write the table and its figures to this .md."
)
def main(histories: int, seed: int, processes: int, work: Path, report: Path | None) -> None:
    """See the module."""
    done = _Done(work / f"{seed}-{_code()[:12]}.json")
    chunks = [(at, min(_CHUNK, seed + histories - at)) for at in range(seed, seed + histories, _CHUNK)]
    missing = [chunk for chunk in chunks if str(chunk) not in done.chunks]
    if len(missing) < len(chunks):
        print(f"{len(chunks) - len(missing)} of {len(chunks)} parts were done before", file=sys.stderr)
    bad: int | None = None
    began, lived = time.monotonic(), 0
    for chunk, figures in _live(missing, processes):
        lived += chunk[1]
        done.add(chunk, figures)
        per_s = lived / (time.monotonic() - began)
        print(f"{lived} histories, {per_s:.0f}/s, violations: {len(figures['bad'])}", flush=True)
        if figures["bad"]:
            bad = min(figures["bad"])
            break
    if bad is not None:
        _explain(bad)
        sys.exit(1)
    total = done.total(chunks)
    per_s = total["histories"] / total["seconds"]
    print(f"{total['histories']} histories, 0 violations, {per_s:.0f} histories/s per process")
    if report is not None:
        write_report(report, total, seed)


def _live(chunks: list[tuple[int, int]], processes: int) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    if processes == 1:
        yield from map(live_through, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(live_through, chunks)


@silence()
def _explain(seed: int) -> None:
    """Print what goes wrong, in as few steps as show it."""
    problem = run(draw(seed))
    assert problem is not None, f"history {seed} went wrong in another process and not here"
    print(f"\nhistory {seed}: {problem}\n", file=sys.stderr)
    steps = shrink(draw(seed), lambda fewer: same(run(fewer), problem))
    print(f"in {len(steps)} steps: {run(steps)}", file=sys.stderr)
    for step in steps:
        print(f"    {step},", file=sys.stderr)


def same(found: str | None, wanted: str) -> bool:
    """Whether two violations are of one kind: the words before the first comma."""
    return found is not None and found.split(",")[0] == wanted.split(",", maxsplit=1)[0]


def _code() -> str:
    """SHA-256 of the code that histories run: what was done by other code is done again."""
    whole = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted((_ROOT / room).rglob("*.py")):
            whole.update(file.read_bytes())
    return whole.hexdigest()


class _Done:
    """Parts that were lived through, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.chunks: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}

    def add(self, chunk: tuple[int, int], figures: dict[str, Any]) -> None:
        if figures["bad"]:
            return
        self.chunks[str(chunk)] = figures
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self.chunks))
        new.replace(self._file)

    def total(self, chunks: list[tuple[int, int]]) -> dict[str, Any]:
        """Figures of these parts together."""
        counts, seconds = Counter[str](), 0.0
        for chunk in chunks:
            counts.update(self.chunks[str(chunk)]["counts"])
            seconds += self.chunks[str(chunk)]["seconds"]
        return {"histories": sum(n for _, n in chunks), "seconds": seconds, "counts": dict(counts)}


if __name__ == "__main__":
    main()
