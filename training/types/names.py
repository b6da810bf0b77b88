"""Names and words for types, by rule from what their buyers do; no type is named by hand.

A type's noun is the first of NOUNS whose rule holds. Types that share a noun are told apart by the
trait in which each differs most from its namesakes ("quick", "returning"). The texts carry the type's
own figures beside those of all buyers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from feature_store.fold.funnel import STRATA
from feature_store.fold.vector import SCALARS
from training.types.measures import Floats

_COLUMN: Final = {scalar.name: i for i, scalar in enumerate(SCALARS)}
_NOTABLE: Final = 0.5
"""A trait is worth a word where it lies half a deviation from the mean of all buyers."""
_PHRASES: Final = 4
_BARE: Final = 0.3
"""How far a namesake must stand out before a qualifier is better than the bare noun."""
_ALONE: Final = 1e3


class Behaviour(NamedTuple):
    """What the buyers of a type do on average.

    share of all buyers; raw float64 [16], mean scalars in their units; standard float64 [16], the same in
    deviations from the mean of all buyers (money: of the own store); strata float64 [4], shares.
    """

    share: float
    raw: Floats
    standard: Floats
    strata: Floats

    def mean(self, name: str) -> float:
        """The mean of a scalar."""
        return float(self.raw[_COLUMN[name]])

    def level(self, name: str) -> float:
        """A scalar's mean in deviations."""
        return float(self.standard[_COLUMN[name]])

    def reached(self, stratum: str) -> float:
        """Share of the buyers that came at least as far as the stratum."""
        return float(self.strata[: STRATA.index(stratum) + 1].sum())


class Noun(NamedTuple):
    """What a type is called if its rule holds, and what such buyers do in a sentence."""

    word: str
    does: str
    holds: Callable[[Behaviour], bool]


NOUNS: Final = (
    Noun("buyer", "buy", lambda b: b.reached("A") >= 0.5),
    Noun("checkout-leaver", "start a checkout and mostly leave it", lambda b: b.reached("B") >= 0.5),
    Noun("cart-builder", "fill a cart and mostly leave it", lambda b: b.reached("C") >= 0.5),
    Noun(
        "searcher",
        "look for products by search",
        lambda b: b.mean("searches") >= 1 and b.level("searches") > 1,
    ),
    Noun("bouncer", "leave after a page or two", lambda b: b.mean("events") < 2.5),
    Noun(
        "returner",
        "come back for further visits",
        lambda b: b.mean("sessions") >= 1.5 and b.level("sessions") > 1,
    ),
    Noun(
        "list-browser",
        "walk through lists more than through products",
        lambda b: b.mean("list_views") > b.mean("product_views"),
    ),
    Noun(
        "comparer",
        "look at many products of few categories",
        lambda b: (
            b.level("product_views") > _NOTABLE > b.level("distinct_categories")
            and b.mean("product_views") >= 4 * max(b.mean("distinct_categories"), 1)
        ),
    ),
    Noun(
        "explorer", "look at many products of many kinds", lambda b: b.level("distinct_products") > _NOTABLE
    ),
    Noun("looker", "look at a few products", lambda b: True),
)


class Trait(NamedTuple):
    """A scalar in words: what it adds to a name when high or low ("" for nothing), phrases of a rule, and
    what its figure is called."""

    scalar: str
    high: str
    low: str
    many: str
    few: str
    unit: str


TRAITS: Final = (
    Trait("events", "deep", "brief", "many events", "few events", "events"),
    Trait("sessions", "returning", "one-visit", "several visits", "a single visit", "visits"),
    Trait("pace_seconds", "slow", "quick", "lingers on pages", "skims pages", "s a step"),
    Trait("product_views", "", "", "many product views", "few product views", "product views"),
    Trait("distinct_categories", "roaming", "focused", "many categories", "few categories", "categories"),
    Trait("list_views", "", "", "many category pages", "few category pages", "category pages"),
    Trait("searches", "searching", "", "many searches", "few searches", "searches"),
    Trait("carts", "", "", "fills carts", "empty carts", "cart additions"),
    Trait("viewed_price", "premium", "thrifty", "dear products", "cheap products", "mean price viewed"),
)


def name_types(
    behaviours: Sequence[Behaviour], kept: Mapping[int, str], retired: Collection[str]
) -> list[str]:
    """A unique name for each type, in order.

    kept: index -> name that a type already has; retired: names whose types are gone, given to no other,
    so that nobody who targets such a name meets other buyers under it.
    """
    names = dict(kept)
    nouns = [next(noun.word for noun in NOUNS if noun.holds(b)) for b in behaviours]
    for word in dict.fromkeys(nouns):
        group = [i for i, noun in enumerate(nouns) if noun == word]
        new = [i for i in group if i not in kept]
        taken = {*names.values(), *retired}
        fits = {name: fit for name, fit in _candidates(word, behaviours, group).items() if name not in taken}
        gains = np.array([[fit[i] for fit in fits.values()] for i in new]).reshape(len(new), len(fits))
        for row, column in zip(*linear_sum_assignment(gains, maximize=True), strict=True):
            names[new[row]] = list(fits)[column]
    return [names[i] for i in range(len(behaviours))]


def _candidates(
    word: str, behaviours: Sequence[Behaviour], group: Sequence[int]
) -> dict[str, dict[int, float]]:
    """Names of a noun and how well each fits each type of the group: deviations from the namesakes."""
    shares = [behaviours[i].share for i in group]
    # Alone, a type needs no qualifier; among namesakes, the one that stands out least goes without.
    fits = {word: dict.fromkeys(group, _ALONE if len(group) == 1 else _BARE)}
    for trait in TRAITS:
        levels = {i: behaviours[i].level(trait.scalar) for i in group}
        middle = float(np.average(list(levels.values()), weights=shares)) if len(group) > 1 else 0.0
        if trait.high and trait.high[:6] != word[:6]:  # no "searching-searcher"
            fits[f"{trait.high}-{word}"] = {i: level - middle for i, level in levels.items()}
        if trait.low:
            fits[f"{trait.low}-{word}"] = {i: middle - level for i, level in levels.items()}
    return fits


def describe_type(name: str, behaviour: Behaviour, all_types: Sequence[Behaviour]) -> dict[str, Any]:
    """title, description and rule of a type, for people."""
    shares = [b.share for b in all_types]
    overall = Behaviour(
        share=1.0,
        raw=np.average([b.raw for b in all_types], axis=0, weights=shares),
        standard=np.zeros(len(SCALARS)),
        strata=np.average([b.strata for b in all_types], axis=0, weights=shares),
    )
    noun = next(noun for noun in NOUNS if noun.holds(behaviour))
    notable = sorted(
        (trait for trait in TRAITS if abs(behaviour.level(trait.scalar)) >= _NOTABLE),
        key=lambda trait: -abs(behaviour.level(trait.scalar)),
    )[:_PHRASES]
    words = [trait.many if behaviour.level(trait.scalar) > 0 else trait.few for trait in notable]
    figures = [
        f"{_figure(behaviour.mean(trait.scalar))} {trait.unit} (all {_figure(overall.mean(trait.scalar))})"
        for trait in notable
    ]
    bought = behaviour.reached("A")
    return {
        "title": name.replace("-", " ").capitalize(),
        "description": f"They {noun.does}: {_percent(behaviour.reached('C'))} reach a cart and "
        f"{_percent(bought)} buy (of all buyers {_percent(overall.reached('C'))} and "
        f"{_percent(overall.reached('A'))}).",
        "rule": ", ".join([*words, _buys(bought)]) + "".join(f"; {figure}" for figure in figures),
    }


def _buys(share: float) -> str:
    steps = ((0.95, "always buys"), (0.5, "mostly buys"), (0.15, "often buys"), (0.05, "sometimes buys"))
    for least, words in steps:
        if share >= least:
            return words
    return "rarely buys" if share >= 0.002 else "does not buy"


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "under 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def _figure(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
