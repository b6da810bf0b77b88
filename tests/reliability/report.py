"""docs/reliability.md and its .json, made of the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from tests.reliability.faults import FAULTS
from tests.reliability.results import Results

_HEAD: Final = """\
# Reliability

Faults of real processes: two workers, a broker and a store, under 500 to 5,000 events/s, one fault at a
moment that the seed draws. After each, `simpersona verify` looks at all that is served, and a second count,
which shares no code with the fold, reads the topic and compares each buyer's events with the store's, and
each refused record with the dead letters. Made by `make faults`; how:
[ADR 50](adr/0050-faults-by-seed-and-held-partitions.md). Each trial is a line of
[reliability.jsonl](reliability.jsonl).

**Lost** and **counted twice** are events of all trials of the fault. **Recovery** is from the moment named
below until the store holds all that the topic held a second before, at 500 events/s: so it is never below
1 s. The bar is 10 s (p50) and 20 s (max).

"""
_BY_HAND: Final = "<!-- `make faults` makes what stands above; what follows is written by hand. -->"
_COLUMNS: Final = (
    "| fault | seeds | events | lost | counted twice | recovery p50 / max, s | wrong | restarts |"
)


def write_report(results: Results, skipped: Mapping[str, str], file: Path) -> None:
    """Write the table to `file` (.md) and its figures beside it (.json)."""
    figures = {name: _figures(results, name) for name in FAULTS}
    lines = [_COLUMNS, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, row in figures.items():
        if row["seeds"] == 0:
            why = f": {skipped[name]}" if name in skipped else ""
            lines.append(f"| {name} | 0 | not run{why} | | | | | |")
        else:
            recovery = f"{row['recovery_p50_s']:.1f} / {row['recovery_max_s']:.1f}"
            lines.append(
                f"| {name} | {row['seeds']} | {row['events']:,} | {row['lost']} | {row['twice']} "
                f"| {recovery} | {row['wrong']} | {row['restarts']} |"
            )
    meanings = [f"- **{name}**: {fault.meaning}." for name, fault in FAULTS.items()]
    loads = [result.load / result.cores for name in FAULTS for result in results.of(name)]
    busy = (
        f"\nMeasured with {median(loads):.1f} processes that wanted to run for each core (median of "
        f"the load of a minute; {max(loads):.1f} at most): recovery on a quiet machine is quicker.\n"
        if loads
        else ""
    )
    notes = (
        "\n**wrong**: trials with anything lost, counted twice, a dead letter too many or too few, or a "
        "difference in `verify`. **restarts**: workers that ended by themselves, as they do after a fatal "
        "error of the Kafka client, and were started again.\n"
    )
    before = file.read_text() if file.exists() else ""
    by_hand = before[before.index(_BY_HAND) :] if _BY_HAND in before else _BY_HAND + "\n"
    file.write_text(
        _HEAD + "\n".join(lines) + "\n" + notes + busy + "\n" + "\n".join(meanings) + "\n\n" + by_hand
    )
    file.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")


def _figures(results: Results, name: str) -> dict[str, Any]:
    found = results.of(name)
    if not found:
        return {"seeds": 0}
    recovery = [result.recovery_s for result in found]
    return {
        "seeds": len(found),
        "events": sum(result.events for result in found),
        "lost": sum(result.lost + result.unsent for result in found),
        "twice": sum(result.twice for result in found),
        "recovery_p50_s": median(recovery),
        "recovery_max_s": max(recovery),
        "wrong": sum(not result.is_right for result in found),
        "restarts": sum(result.restarts for result in found),
        "slowest_rate": min(result.rate for result in found),
        "fastest_rate": max(result.rate for result in found),
    }
