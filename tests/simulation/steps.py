"""What happens in a history, step by step: drawn from a seed, and small enough to take any step out again."""

from __future__ import annotations

import random
from typing import Final

Step = tuple[str | int, ...]

WORKERS: Final = 3
BUYERS: Final = 6

_WEIGHTS: Final[dict[str, float]] = {
    "produce": 30,
    "run": 34,
    "tick": 6,
    "kill": 3,
    "start": 5,
    "stop": 1.5,
    "freeze": 2,
    "thaw": 2,
    "expel": 1,
    "store gone": 1.5,
    "store back": 2,
    "store kept": 2,
    "store rolled back": 1,
    "answer lost": 2,
    "flush fails": 2.5,
    "hole": 1.5,
    "gap": 1,
    "rewind": 1.5,
    "poison": 1,
    "duplicate": 2,
    "late": 2,
    "swap": 1.5,
    "erase": 1.5,
    "jump": 1,
}
"""How often each step is drawn. The faults of the house's list, and what makes them meet work."""


def draw(seed: int) -> list[Step]:
    """The steps of a history."""
    roll = random.Random(seed)
    names, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    steps: list[Step] = [("start", 0)]
    if roll.random() < 0.5:
        steps.append(("start", 1))
    for name in roll.choices(names, weights, k=roll.randint(20, 60)):
        steps.append((name, *_arguments(name, roll)))
    return steps


def _arguments(name: str, roll: random.Random) -> tuple[str | int, ...]:
    worker = roll.randrange(WORKERS)
    match name:
        case "produce":
            return roll.randrange(BUYERS), roll.choice((1, 1, 2, 3, 5)), roll.randrange(10**6)
        case "run":
            return worker, roll.choice((1, 2, 3, 5, 8, 13, 25))
        case "tick":
            return (roll.choice((300, 1_100, 1_100, 7_000)),)
        case "kill":
            return worker, roll.choice((0, 50, 100))
        case "start" | "stop" | "freeze" | "thaw" | "expel" | "answer lost":
            return (worker,)
        case "flush fails":
            return worker, roll.choice(("refused", "stored", "stalled", "fatal"))
        case "hole" | "gap" | "poison":
            return (roll.randrange(4),)
        case "rewind":
            return worker, roll.randrange(4), roll.randint(1, 3)
        case "duplicate":
            return (roll.randint(1, 4),)
        case "late":
            return roll.randrange(BUYERS), roll.randrange(10**6)
        case "swap":
            return (roll.randint(1, 3),)
        case "erase":
            return (roll.randrange(BUYERS),)
        case "jump":
            return (roll.choice((-3_000, 2_000)),)
    return ()
