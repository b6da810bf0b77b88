"""Names and words for types: fixed by rule, so that a name means the same after every retrain.

A type's name says the facts that all its buyers have in common, and for those who only looked also what
their codes foresee. Nothing is named by hand or by what came out of a training.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from feature_store.fold.funnel import Depth, Visits

KEEN: Final = 1.5
BRIEF: Final = 0.5
"""Borders of the tiers: how many times as likely as of the store's average looker it is that a session goes
deeper."""


class Tier(NamedTuple):
    """Part of the lookers: from `least` times the average chance that the session goes deeper."""

    word: str
    least: float
    foresees: str


TIERS: Final = (
    Tier("brief", 0.0, f"less than {BRIEF:g} times as likely as the shop's other lookers"),
    Tier("steady", BRIEF, f"{BRIEF:g} to {KEEN:g} times as likely as the shop's other lookers"),
    Tier("keen", KEEN, f"at least {KEEN:g} times as likely as the shop's other lookers"),
)

_NOUNS: Final[dict[Depth, str]] = {
    "none": "looker",
    "carted": "carter",
    "checkout": "checkout-leaver",
    "bought": "buyer",
}
_DID: Final[dict[Depth, str]] = {
    "none": "have not put anything into a cart",
    "carted": "have put something into a cart and not begun a checkout",
    "checkout": "have begun a checkout and not bought",
    "bought": "have bought",
}
_WHEN: Final[dict[Visits, str]] = {"new": "On their first visit they", "returning": "They came back and"}


def type_name(depth: Depth, visits: Visits, tier: Tier | None) -> str:
    """The name of the type with these facts; `tier` for lookers."""
    if depth == "bought":
        return "one-visit-buyer" if visits == "new" else "returning-buyer"
    return "-".join([*([tier.word] if tier else []), visits, _NOUNS[depth]])


def describe_type(
    depth: Depth, visits: Visits, tier: Tier | None, *, share: float, goes_deeper: float | None
) -> dict[str, Any]:
    """title, description and rule of a type, for people. share: of all training buyers; goes_deeper: how many
    of its sessions went deeper into the funnel, None where nobody knows or nothing is deeper."""
    rule = [f"{_WHEN[visits]} {_DID[depth]}"]
    if tier is not None:
        rule.append(f"{tier.foresees} to put something into a cart, or more, before the session ends")
    figures = f"{percent(share)} of the training buyers at the end of their history"
    if goes_deeper is not None:
        figures += f"; {percent(goes_deeper)} of their sessions went deeper into the funnel"
    return {
        "title": type_name(depth, visits, tier).replace("-", " ").capitalize(),
        "description": f"{'; '.join(rule)}.",
        "rule": figures,
    }


def percent(share: float) -> str:
    """A share as people read it."""
    if 0 < share < 0.0005:
        return "under 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"
