"""What traffic to generate: the run's parameters, and the profiles that stores are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from ops.traffic.buyer_types import TYPE_NAMES
from ops.traffic.errors import TrafficError

MAX_SESSION_MS: Final = 60 * 60 * 1000
"""No generated session is longer, from its first event to its last."""
MAX_DWELL_MS: Final = 25 * 60 * 1000
"""Below the 30 minutes that would split a session in two."""
MIN_GAP_MS: Final = 31 * 60 * 1000
"""Two sessions of a buyer are at least this far apart: above the 30 minutes that would join them."""
MAX_LATE_MS: Final = 45 * 60 * 1000
MAX_REDELIVERY_MS: Final = 10 * 60 * 1000
MAX_DISORDER_MS: Final = MAX_LATE_MS + MAX_REDELIVERY_MS
"""No event is delivered later than this after it happened: the bound on the stream's disorder."""
FIELDS: Final = ("product_id", "category", "brand", "price", "value", "query", "session_id")
"""Fields of an event that a shop's pixel or adapter may lose."""


class StoreProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of shop. The figures of figures.json are measured on real shops by ops.traffic.fit.

    fitted_to: the real data set. event_types: what the shop's pixel sends. views_carry_price: whether
    product views name a price. price_log_mean, price_log_sd: of the natural logarithm of a product's
    price in major units. zipf: exponent of product popularity over rank. pace: factor on every dwell
    time. persistence: divisor of the chance to leave after an event. type_mix: share of each latent
    type, in the order of buyer_types.BUYER_TYPES, summing to 1.

    The rest is left alone in fitted shops and drawn in wide ones (wide_shops.py). loses: fields of
    FIELDS that no event has. clock_ms: times are whole multiples of it. comes_back: factor on the odds of one
    more session; away: on the time until then. express: share of the sessions of which nothing between a
    view and a purchase is sent. habits: factors on the weights of every type's chain, [start and event
    types, event types and exit]; empty: 1.
    """

    name: str
    fitted_to: str
    currency: str
    currency_digits: int
    event_types: tuple[str, ...]
    views_carry_price: bool
    products: int
    categories: int
    brands: int
    zipf: float
    price_log_mean: float
    price_log_sd: float
    pace: float
    persistence: float
    type_mix: tuple[float, ...]
    loses: tuple[str, ...] = ()
    clock_ms: int = 1
    comes_back: float = 1.0
    away: float = 1.0
    express: float = 0.0
    habits: tuple[tuple[float, ...], ...] = ()


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that was fitted: the profiles, and how long a buyer stays away (log-normal, hours)."""

    return_hours_median: float
    return_hours_log_sd: float
    profiles: tuple[StoreProfile, ...]


@cache
def figures() -> Figures:
    """The committed figures (figures.json beside this file)."""
    return msgspec.json.decode(files("ops.traffic").joinpath("figures.json").read_bytes(), type=Figures)


@dataclass(frozen=True, kw_only=True)
class TrafficConfig:
    """Parameters of a run; with a seed they determine every byte of the traffic.

    buyers arrive over `hours` of event time from start_ms (ms since the epoch, UTC) on, spread over
    `stores` shops that cycle through the fitted profiles or, if `wide`, are drawn by the seed
    (wide_shops.py). An endless run keeps that rate of new buyers.
    duplicates, late: share of events delivered twice, and delivered a minute or more after they happened.
    noise: probability that a step ignores the buyer's type. diurnal: relative swing of the arrival
    rate over a day (0 flat, below 1), highest at peak_hour UTC. favour: a buyer type that favour_share of
    the buyers are of in every store, whatever its mix, from favour_after_hours on: a shift to be found.

    Raises:
        TrafficError: a parameter is outside its range.
    """

    buyers: int = 2_000
    hours: float = 24.0
    stores: int = 4
    wide: bool = False
    start_ms: int = 1_767_571_200_000  # 2026-01-05T00:00Z, a Monday
    duplicates: float = 0.01
    late: float = 0.01
    noise: float = 0.05
    diurnal: float = 0.5
    peak_hour: float = 19.0
    favour: str = ""
    favour_share: float = 0.0
    favour_after_hours: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("buyers", 1, 10**12),
            ("hours", 0.01, 24 * 3650),
            ("stores", 1, 1000),
            ("start_ms", 1, 2**42),
            ("duplicates", 0, 1),
            ("late", 0, 1),
            ("noise", 0, 1),
            ("diurnal", 0, 0.95),
            ("peak_hour", 0, 24),
            ("favour_share", 0, 1),
            ("favour_after_hours", 0, 24 * 3650),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise TrafficError(f"{name} is {value}; it must be between {low} and {high}")
        if self.favour not in ("", *TYPE_NAMES):
            raise TrafficError(f"favour is {self.favour!r}; it must be one of {', '.join(TYPE_NAMES)}")
