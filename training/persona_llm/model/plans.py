"""The plan that a model writes before it acts: how far the shopper will go, and in how many steps.

What a shopper does in the end is one draw then, made where the persona token is read, and the actions follow
it. Without a plan the same decision is spread over the odds of every step, where small errors add up.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Final

from training.persona_llm.storefront.actions import ADD, CHECKOUT, LEAVE, PURCHASE

AIMS: Final = (ADD, CHECKOUT, PURCHASE)
"""What a plan says or leaves out."""
_STEPS: Final = ((4, "up to 4"), (8, "5 to 8"), (16, "9 to 16"), (32, "17 to 32"))
"""Most steps of each bucket; leaving is a step."""
_MORE: Final = "more than 32"


def _aimed(aims: Sequence[str]) -> str:
    return f"plan: {', '.join(aims) or 'look'}"


def _within(steps: str) -> str:
    return f" in {steps} steps\n"


AIMED: Final = tuple(
    _aimed(aims) for size in range(len(AIMS) + 1) for aims in itertools.combinations(AIMS, size)
)
WITHIN: Final = (*(_within(steps) for _, steps in _STEPS), _within(_MORE))
"""The two halves of a plan line: every plan is one of AIMED and one of WITHIN."""


def plan_line(actions: Sequence[str]) -> str:
    """The plan that these actions (the last is LEAVE) fulfil, as the model writes it."""
    aims = [aim for aim in AIMS if aim in actions]
    steps = next((name for most, name in _STEPS if len(actions) <= most), _MORE)
    return _aimed(aims) + _within(steps)


def aims_of(plan: str) -> frozenset[str]:
    """The aims that a plan, or the first half of one, says."""
    return frozenset(plan.removeprefix("plan: ").partition(" in ")[0].split(", ")) & frozenset(AIMS)


def same_aims(actions: Sequence[str]) -> list[str]:
    """The plans with the aims of these actions, one of each length: what an agent that keeps to its plan may
    have planned before it did them."""
    aims = _aimed([aim for aim in AIMS if aim in actions])
    return [aims + within for within in WITHIN]


def held_back(plan: str, done: Collection[str]) -> frozenset[str]:
    """The actions that a shopper who keeps to this plan does not do now, after `done`: aims that are not
    planned, and leaving while one that is planned is open."""
    planned = aims_of(plan)
    return frozenset(AIMS) - planned | ({LEAVE} if planned - set(done) else frozenset())
