"""What happens in a history, step by step: drawn from a seed, and any step can be taken out again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

Step = tuple[str | int, ...]

WORKERS: Final = 3
BUYERS: Final = 6


def _worker(roll: random.Random) -> tuple[str | int, ...]:
    return (roll.randrange(WORKERS),)


def _partition(roll: random.Random) -> tuple[str | int, ...]:
    return (roll.randrange(4),)


def _nothing(_roll: random.Random) -> tuple[str | int, ...]:
    return ()


STEPS: Final[dict[str, tuple[float, Callable[[random.Random], tuple[str | int, ...]]]]] = {
    "produce": (30, lambda r: (r.randrange(BUYERS), r.choice((1, 1, 2, 3, 5)), r.randrange(10**6))),
    "late": (2, lambda r: (r.randrange(BUYERS), r.randrange(10**6))),
    "duplicate": (2, lambda r: (r.randint(1, 4),)),
    "poison": (1, _partition),
    "run": (34, lambda r: (r.randrange(WORKERS), r.choice((1, 2, 3, 5, 8, 13, 25)))),
    "tick": (6, lambda r: (r.choice((300, 1_100, 1_100, 7_000)),)),
    "jump": (1, lambda r: (r.choice((-3_000, 2_000)),)),
    "start": (5, _worker),
    "stop": (1.5, _worker),
    "kill": (3, lambda r: (r.randrange(WORKERS), r.choice((0, 50, 100)))),
    "freeze": (2, _worker),
    "thaw": (2, _worker),
    "expel": (1, _worker),
    "store gone": (1.5, _nothing),
    "store back": (2, _nothing),
    "row damaged": (2, lambda r: (r.randrange(BUYERS),)),
    "progress damaged": (0.5, _partition),
    "calibration damaged": (0.5, _partition),
    "rows mended": (2, _nothing),
    "store kept": (2, _nothing),
    "store rolled back": (1, _nothing),
    "answer lost": (2, _worker),
    "flush fails": (
        2.5,
        lambda r: (r.randrange(WORKERS), r.choice(("refused", "stored", "stalled", "fatal"))),
    ),
    "encoder gone": (1, _worker),
    "hole": (1.5, _partition),
    "gap": (1, _partition),
    "rewind": (1.5, lambda r: (r.randrange(WORKERS), r.randrange(4), r.randint(1, 3))),
    "swap": (1.5, lambda r: (r.randint(1, 3),)),
    "calibrate": (2, lambda r: (r.randint(1, 3), r.randrange(10**6))),
    "erase": (1.5, lambda r: (r.randrange(BUYERS), r.randrange(2))),
    "withdraw": (2, lambda r: (r.randrange(BUYERS), r.randrange(2))),
    "give": (1.5, lambda r: (r.randrange(BUYERS), r.randrange(2))),
    "send again": (1, lambda r: (r.randrange(BUYERS), r.choice((5, 20, 200)))),
}
"""How often each step is drawn, and its arguments: the faults, and the work that they meet."""


def draw(seed: int) -> list[Step]:
    """The steps of a history."""
    roll = random.Random(seed)
    names = list(STEPS)
    weights = [weight for weight, _ in STEPS.values()]
    steps: list[Step] = [("world", roll.choice((1, 2, 3)), roll.choice((2, 4, 8))), ("start", 0)]
    if roll.random() < 0.5:
        steps.append(("start", 1))
    for name in roll.choices(names, weights, k=roll.randint(20, 60)):
        steps.append((name, *STEPS[name][1](roll)))
    return steps
