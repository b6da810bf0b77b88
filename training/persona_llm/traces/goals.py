"""What an agent is asked to do in a session: in words that say nothing of intent, or that say it.

Goals are templates filled from the session itself. Which template a session gets follows from its seed, so
that preparing traces again gives the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from training.persona_llm.storefront.actions import ADD, CHECKOUT, PAY, PURCHASE, Step

Outcome = Literal["A", "B", "C", "D"]
"""The funnel stratum of a session (paper: purchased, reached checkout, added to cart, only looked)."""
OUTCOMES: Final[tuple[Outcome, ...]] = ("A", "B", "C", "D")
FULFILLED_BY: Final[dict[Outcome, str | None]] = {"A": PURCHASE, "B": CHECKOUT, "C": ADD, "D": None}
"""The action that fulfils an explicit goal; to look around is fulfilled by leaving."""

_NEUTRAL: Final = (
    "Visit the shop.",
    "Spend some time in this shop.",
    "You have come to this shop. Do what you usually do.",
    "Shop as you would.",
)
_EXPLICIT: Final[dict[Outcome, tuple[str, ...]]] = {
    "A": ("Buy something{about}.", "Find what you need{about} and purchase it."),
    "B": ("Get as far as the checkout{about}.", "Start a checkout{about}, then decide against it."),
    "C": ("Put something{about} into the cart, but do not order.", "Collect a cart{about} for later."),
    "D": ("Look around{about}; buy nothing.", "See what there is{about}."),
}


def outcome(steps: Sequence[Step]) -> Outcome:
    """How far a session went."""
    done = {step.action for step in steps}
    if PURCHASE in done:
        return "A"
    if done & {CHECKOUT, PAY}:
        return "B"
    return "C" if ADD in done else "D"


def neutral_goal(random: np.random.Generator) -> str:
    """A goal that says nothing of intent."""
    return _NEUTRAL[random.integers(len(_NEUTRAL))]


def explicit_goal(of: Outcome, steps: Sequence[Step], random: np.random.Generator) -> str:
    """A goal that says the intent `of`, about what the session looked at most."""
    templates = _EXPLICIT[of]
    words = about_words(steps)
    return templates[random.integers(len(templates))].format(about=f" among {words}" if words else "")


def wrong_outcome(of: Outcome, random: np.random.Generator) -> Outcome:
    """Another outcome than the session's: a goal made from it shows whether a model follows goal or token."""
    others = [other for other in OUTCOMES if other != of]
    return others[random.integers(len(others))]


def about_words(steps: Sequence[Step]) -> str:
    """The category that a session looked at most, in words; empty where the store has no words for it."""
    categories = [step.item.category for step in steps if step.item and step.item.category]
    if not categories:
        return ""
    # The leaf of a path is a word; an id of a shop's own, digits only, means nothing.
    leaf = max(sorted(set(categories)), key=categories.count).replace("/", ".").rpartition(".")[2]
    return "" if leaf.isdigit() else leaf.replace("_", " ").replace("-", " ")
