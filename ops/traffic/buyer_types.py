"""The latent buyer types: each a small Markov chain over event types with its own pace and taste.

A chain's states are the event types of the contract; `exit` ends the session. Rows are weights, not
probabilities. A type names only the rows in which it differs from `COMMON`.

Source of the method: clickstream sessions as first-order Markov chains mixed over latent groups,
Cadez, Heckerman, Meek, Smyth, White, "Model-based clustering and visualization of navigation
patterns on a web site" (Data Mining and Knowledge Discovery 7, 2003).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from feature_store.contract.events import EVENT_TYPES, TYPE_CODE

EXIT: Final = len(EVENT_TYPES)
"""The absorbing state: the session is over."""

Row = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class BuyerType:
    """One way of shopping.

    start: weights of a session's first event. moves: rows that replace those of `COMMON`.
    dwell_seconds, dwell_spread: median and log-standard-deviation of the time between two events.
    price_quantile: where in the store's price range (0 cheapest, 1 dearest) the buyer likes to look.
    focus: probability that a product is sought in the buyer's home category.
    revisit: probability that a product view goes back to one of the last three products.
    comes_back: probability of one more session after each.
    """

    name: str
    start: Row
    moves: Mapping[str, Row] = field(default_factory=dict)
    dwell_seconds: float = 45.0
    dwell_spread: float = 1.2
    price_quantile: float = 0.5
    focus: float = 0.6
    revisit: float = 0.1
    comes_back: float = 0.1


COMMON: Final[Mapping[str, Row]] = {
    "page_view": {"product_view": 4, "list_view": 3, "search": 0.8, "page_view": 1, "exit": 3},
    "list_view": {"product_view": 6, "list_view": 2, "page_view": 0.5, "exit": 1.5},
    "search": {"product_view": 6, "search": 1.5, "list_view": 1, "exit": 1.5},
    "product_view": {"product_view": 5, "list_view": 2, "page_view": 0.5, "add_to_cart": 0.3, "exit": 2.2},
    "add_to_cart": {"view_cart": 4, "product_view": 3, "begin_checkout": 2, "exit": 1},
    "remove_from_cart": {"product_view": 3, "view_cart": 2, "exit": 2},
    "view_cart": {"begin_checkout": 3, "product_view": 3, "remove_from_cart": 1, "exit": 2},
    "begin_checkout": {"add_payment_info": 4, "login": 1, "sign_up": 0.5, "exit": 3},
    "add_payment_info": {"purchase": 6, "exit": 2},
    "purchase": {"exit": 8, "product_view": 1, "page_view": 1},
    "sign_up": {"begin_checkout": 2, "product_view": 2, "page_view": 1, "exit": 1},
    "login": {"begin_checkout": 2, "product_view": 2, "page_view": 1, "exit": 0.5},
}

BUYER_TYPES: Final[tuple[BuyerType, ...]] = (
    BuyerType(
        name="bouncer",
        start={"page_view": 2, "product_view": 5, "list_view": 0.5},
        moves={
            "page_view": {"exit": 16, "product_view": 1, "page_view": 1},
            "list_view": {"exit": 12, "product_view": 1},
            "product_view": {"exit": 18, "page_view": 1, "product_view": 1},
        },
        dwell_seconds=15,
        comes_back=0.04,
    ),
    BuyerType(
        name="browser",
        start={"page_view": 4, "list_view": 3, "product_view": 3},
        moves={
            "product_view": {
                "product_view": 7,
                "list_view": 3,
                "page_view": 0.5,
                "exit": 2,
                "add_to_cart": 0.04,
            }
        },
        dwell_seconds=30,
        focus=0.35,
        revisit=0.05,
        comes_back=0.12,
    ),
    BuyerType(
        name="searcher",
        start={"search": 6, "page_view": 2, "product_view": 1},
        moves={
            "page_view": {"search": 6, "product_view": 1, "exit": 1},
            "search": {"product_view": 5, "search": 4, "exit": 1},
            "product_view": {"search": 6, "product_view": 2, "add_to_cart": 0.4, "exit": 1.2},
        },
        dwell_seconds=35,
        focus=0.85,
        comes_back=0.15,
    ),
    BuyerType(
        name="comparer",
        start={"product_view": 4, "list_view": 3, "search": 1, "page_view": 1},
        moves={
            "product_view": {
                "product_view": 14,
                "list_view": 1,
                "search": 0.5,
                "add_to_cart": 0.3,
                "exit": 0.9,
            }
        },
        dwell_seconds=75,
        dwell_spread=1.0,
        price_quantile=0.6,
        focus=0.95,
        revisit=0.5,
        comes_back=0.3,
    ),
    BuyerType(
        name="cart_abandoner",
        start={"product_view": 5, "list_view": 2, "page_view": 2},
        moves={
            "product_view": {"product_view": 4, "list_view": 1, "add_to_cart": 3, "exit": 1},
            "add_to_cart": {"view_cart": 5, "product_view": 4, "begin_checkout": 0.7, "exit": 2},
            "view_cart": {"product_view": 3, "remove_from_cart": 3, "begin_checkout": 0.8, "exit": 4},
            "begin_checkout": {"exit": 7, "view_cart": 2, "add_payment_info": 0.6},
            "add_payment_info": {"exit": 6, "purchase": 0.5},
        },
        dwell_seconds=50,
        comes_back=0.2,
    ),
    BuyerType(
        name="decisive_buyer",
        start={"product_view": 6, "search": 2, "page_view": 1},
        moves={
            "product_view": {"add_to_cart": 5, "product_view": 2, "exit": 0.8},
            "add_to_cart": {"begin_checkout": 6, "view_cart": 3, "product_view": 0.7, "exit": 0.2},
            "view_cart": {"begin_checkout": 8, "product_view": 0.5, "exit": 0.4},
            "begin_checkout": {"add_payment_info": 8, "login": 0.7, "sign_up": 0.7, "exit": 0.7},
            "add_payment_info": {"purchase": 10, "exit": 0.5},
        },
        dwell_seconds=25,
        dwell_spread=0.9,
        price_quantile=0.7,
        focus=0.9,
        comes_back=0.1,
    ),
    BuyerType(
        name="loyal_returner",
        start={"login": 6, "page_view": 2, "product_view": 2},
        moves={
            "login": {"product_view": 4, "list_view": 2, "page_view": 1, "view_cart": 0.5, "exit": 0.5},
            "product_view": {"product_view": 4, "list_view": 2, "add_to_cart": 1.2, "exit": 1.4},
            "begin_checkout": {"add_payment_info": 8, "exit": 1.5},
        },
        dwell_seconds=40,
        price_quantile=0.6,
        focus=0.7,
        revisit=0.3,
        comes_back=0.65,
    ),
    BuyerType(
        name="bargain_hunter",
        start={"list_view": 6, "search": 2, "page_view": 1},
        moves={
            "list_view": {"list_view": 6, "product_view": 5, "exit": 0.9},
            "product_view": {"list_view": 6, "product_view": 3, "add_to_cart": 0.9, "exit": 1},
            "add_to_cart": {"view_cart": 4, "list_view": 3, "product_view": 1, "exit": 0.7},
            "view_cart": {"remove_from_cart": 4, "list_view": 2, "begin_checkout": 1.5, "exit": 2},
        },
        dwell_seconds=28,
        price_quantile=0.05,
        focus=0.3,
        comes_back=0.3,
    ),
)
TYPE_NAMES: Final = tuple(buyer_type.name for buyer_type in BUYER_TYPES)


def _normalised(row: Row) -> npt.NDArray[np.float64]:
    weights = np.zeros(EXIT + 1)
    for name, weight in row.items():
        weights[EXIT if name == "exit" else TYPE_CODE[name]] = weight
    probabilities: npt.NDArray[np.float64] = weights / weights.sum()
    return probabilities


Habits = Sequence[Sequence[float]]
"""A shop's own factors on the weights, [start and event types, event types + exit]; empty: all 1."""


def start_distribution(habits: Habits = ()) -> npt.NDArray[np.float64]:
    """Probability of a session's first event, float64 [buyer types, event types + exit]."""
    own = np.stack([_normalised(buyer_type.start) for buyer_type in BUYER_TYPES])
    return _with_habits(own, habits[0]) if habits else own


def transition_matrix(noise: float, persistence: float, habits: Habits = ()) -> npt.NDArray[np.float64]:
    """Probability of the next event, float64 [buyer types, event types, event types + exit].

    With probability `noise` a buyer of any type moves as `COMMON` says. persistence divides the weight of
    leaving: above 1, sessions of the store are longer and go deeper. habits are the store's own.
    """
    common = np.stack([_normalised(COMMON[name]) for name in EVENT_TYPES])
    own = np.stack(
        [
            np.stack([_normalised(buyer_type.moves.get(name, COMMON[name])) for name in EVENT_TYPES])
            for buyer_type in BUYER_TYPES
        ]
    )
    mixed: npt.NDArray[np.float64] = (1 - noise) * own + noise * common
    mixed[:, :, EXIT] /= persistence
    mixed /= mixed.sum(axis=2, keepdims=True)
    return _with_habits(mixed, habits[1:]) if habits else mixed


def comes_back(factor: float) -> npt.NDArray[np.float64]:
    """Probability of one more session, float64 [buyer types], with its odds times `factor`."""
    own = np.array([buyer_type.comes_back for buyer_type in BUYER_TYPES])
    return np.asarray(own * factor / (1 - own + own * factor)) if factor != 1 else own


def _with_habits(
    probabilities: npt.NDArray[np.float64], factors: Sequence[float] | Habits
) -> npt.NDArray[np.float64]:
    weights = probabilities * np.asarray(factors)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
