"""The fewest steps that still fail: any step can be taken out, since one that fits nothing does nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.simulation.steps import Step


def shrink(steps: Sequence[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """Take out runs of steps, long ones first, as long as what is left fails (Zeller's ddmin)."""
    left = list(steps)
    size = max(1, len(left) // 2)
    while True:
        taken = False
        at = 0
        while at < len(left):
            fewer = left[:at] + left[at + size :]
            if fails(fewer):
                left, taken = fewer, True
            else:
                at += size
        if size == 1 and not taken:
            return _smaller(left, fails)
        size = max(1, size // 2)


def _smaller(steps: list[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """One event instead of several, where that is enough."""
    for at, step in enumerate(steps):
        if step[0] == "produce" and step[2] != 1:
            simpler = [*steps[:at], (step[0], step[1], 1, *step[3:]), *steps[at + 1 :]]
            if fails(simpler):
                steps = simpler
    return steps
