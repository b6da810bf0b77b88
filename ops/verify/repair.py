"""Repair: what is derived from the log is made what the log says, after it was shown (docs/adr/0034)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from feature_store.online.rows import OnlineRows
from ops.verify.findings import Findings


@dataclass(frozen=True)
class Plan:
    """What a repair would change: row -> values, and how many differences it leaves alone."""

    values: dict[str, int]
    left_alone: int

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The plan for a person."""
        shown = [f"{row:10} {count} values to put right" for row, count in sorted(self.values.items())]
        if self.left_alone:
            shown.append(f"{self.left_alone} differences stay: docs/runbook.md says what mends them")
        return shown


def plan(found: Iterable[Findings]) -> Plan:
    """What a repair of these partitions would change."""
    values: Counter[str] = Counter()
    left_alone = 0
    for one in found:
        values.update(fix.name.partition(b":")[0].decode() for fix in one.fixes)
        left_alone += one.beyond_repair
    return Plan(dict(values), left_alone)


def repair(rows: OnlineRows, found: Sequence[Findings]) -> int:
    """Put right what can be; returns how many values were changed. Those that a worker wrote since stay.

    Raises:
        RowVersionError: a partition's progress row cannot be read: it has no fence.
        FencedError: a worker writes the same values all the time.
        OnlineStoreError: the store did not answer.
    """
    return sum(rows.mend(one.number, one.fixes) for one in found if one.fixes)
