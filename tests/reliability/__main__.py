"""`make faults ARGS="--seeds N"`: each fault, N times, on real processes; exit 1 if anything was lost.

Results are appended to docs/reliability.jsonl, and docs/reliability.md is made of it. A run that was stopped
goes on where it was.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click

from feature_store.errors import SimpersonaError
from tests.reliability.faults import FAULTS
from tests.reliability.faults.fault import Fault, SkippedError
from tests.reliability.report import write_report
from tests.reliability.results import Results
from tests.reliability.servers import ProxiedKafka
from tests.reliability.trial import run_trial

ROOT: Final = Path(__file__).resolve().parents[2]


@click.command(help=__doc__)
@click.option("--seeds", default=20, show_default=True, help="How many of each fault.")
@click.option("--first", default=1, show_default=True, help="The first seed.")
@click.option("--fault", "only", multiple=True, type=click.Choice(list(FAULTS)), help="Only these faults.")
@click.option("--again", is_flag=True, help="Live through seeds again that were right before.")
@click.option(
    "--results",
    "file",
    type=click.Path(path_type=Path),
    default=ROOT / "docs" / "reliability.jsonl",
    help="File of results; the report lies beside it (docs/reliability.jsonl).",
)
def main(seeds: int, first: int, only: tuple[str, ...], again: bool, file: Path) -> None:
    """See the module."""
    results = Results(file)
    wanted = [
        (fault, seed)
        for seed in range(first, first + seeds)
        for name, fault in FAULTS.items()
        if (name in only or not only) and (again or not results.has(name, seed))
    ]
    _say_plan(wanted)
    wrong: list[str] = []
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reliability-")))
        kafka = ProxiedKafka(folder / "kafka", owned=True)
        stack.callback(kafka.stop)
        for number, (fault, seed) in enumerate(wanted):
            if fault.name in skipped:
                continue
            place = folder / f"trial{number}"
            try:
                result = run_trial(fault(), seed, kafka, place, _commit())
            except SkippedError as why:
                skipped[fault.name] = str(why)
                print(f"{fault.name}: skipped: {why}", file=sys.stderr)
                continue
            except (AssertionError, SimpersonaError, OSError, subprocess.SubprocessError) as error:
                # It did not come to rest: as bad as a loss.
                wrong.append(f"{fault.name}, seed {seed}")
                print(
                    f"{fault.name}, seed {seed}: {type(error).__name__}: {error}", file=sys.stderr, flush=True
                )
                continue
            results.add(result)
            verdict = "right" if result.is_right else f"WRONG {result}"
            print(
                f"{number + 1}/{len(wanted)} {fault.name}, seed {seed}: {verdict}, {result.events} events, "
                f"recovery {result.recovery_s} s, {result.seconds} s",
                flush=True,
            )
            if not result.is_right:
                wrong.append(f"{fault.name}, seed {seed}")
    write_report(results, skipped, file.with_suffix(".md"))
    if wrong:
        print(f"wrong: {'; '.join(wrong)}", file=sys.stderr)
        sys.exit(1)


def _say_plan(wanted: list[tuple[type[Fault], int]]) -> None:
    hours = sum(fault.seconds for fault, _ in wanted) / 3600
    print(f"{len(wanted)} trials, about {hours:.1f} hours on two quiet cores; stop and go on at any time")


def _commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    ran = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
