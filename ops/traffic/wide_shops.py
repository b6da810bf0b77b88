"""Shops drawn by the seed, far wider than the fitted ones: what a starter encoder must stand.

A fitted shop is one point; a shop that comes tomorrow is another. So each trait is drawn over the range that
shops have, most of them over orders of magnitude, and each shop's pixel or adapter loses something.

Source of the method: domain randomisation, Tobin, Fong, Ray, Schneider, Zaremba, Abbeel, "Domain
randomization for transferring deep neural networks from simulation to the real world" (IROS 2017).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from feature_store.contract.events import EVENT_TYPES, TYPE_CODE
from ops.traffic.buyer_types import TYPE_NAMES
from ops.traffic.config import FIELDS, StoreProfile

_CURRENCIES: Final = (("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3))
_SENT: Final = {
    "page_view": 0.7,
    "list_view": 0.7,
    "search": 0.6,
    "product_view": 1.0,
    "add_to_cart": 0.75,
    "remove_from_cart": 0.5,
    "view_cart": 0.5,
    "begin_checkout": 0.6,
    "add_payment_info": 0.5,
    "purchase": 0.9,
    "sign_up": 0.5,
    "login": 0.5,
}
"""How probable it is that a shop's pixel sends events of a type at all."""
_LOST: Final = {
    "product_id": 0.15,
    "category": 0.4,
    "brand": 0.5,
    "price": 0.3,
    "value": 0.2,
    "query": 0.3,
    "session_id": 0.5,
}
"""How probable it is that a shop's events come without a field."""
_ONE_PRODUCT: Final = 0.1
_HABIT_SPREAD: Final = 0.5
"""Log-standard-deviation of each habit: a move is half or twice as common in one shop in six."""
_DEPTH: Final = (0.3, 3.0)
"""Factor on every move into the cart, the checkout and the purchase, drawn for each of the three."""
_EXPRESS_SHOPS: Final = 0.3
"""Share of the shops in which some sessions buy without a sign of a cart."""
_CLOCK_OF_SECONDS: Final = 0.3

assert set(_SENT) == set(EVENT_TYPES)
assert set(_LOST) == set(FIELDS)


def wide_profiles(stores: int, seed: int) -> tuple[StoreProfile, ...]:
    """Profiles of `stores` shops; shop i is the same whatever their number."""
    return tuple(_profile(store, np.random.default_rng([seed, 3, store])) for store in range(stores))


def _profile(store: int, rng: np.random.Generator) -> StoreProfile:
    products = 1 if rng.random() < _ONE_PRODUCT else round(_between(rng, 1, 20_000))
    sent = {name for name, share in _SENT.items() if rng.random() < share}
    if "add_to_cart" not in sent:
        sent -= {"remove_from_cart"}
    currency, digits = _CURRENCIES[rng.integers(len(_CURRENCIES))]
    bouncers = rng.uniform(0.05, 0.9)
    others = rng.dirichlet(np.full(len(TYPE_NAMES) - 1, 0.7)) * (1 - bouncers)
    return StoreProfile(
        name=f"wide-{store + 1}",
        fitted_to="",
        currency=currency,
        currency_digits=digits,
        event_types=tuple(name for name in EVENT_TYPES if name in sent),
        views_carry_price=bool(rng.random() < 0.5),
        products=products,
        categories=min(products, round(_between(rng, 1, 500))),
        brands=round(_between(rng, 1, 1000)),
        zipf=rng.uniform(0.3, 1.2),
        price_log_mean=rng.uniform(np.log(0.5), np.log(5000)),
        price_log_sd=rng.uniform(0.05, 2.0),
        pace=_between(rng, 0.1, 10),
        persistence=_between(rng, 0.3, 6),
        type_mix=(bouncers, *others.tolist()),
        loses=tuple(name for name, share in _LOST.items() if rng.random() < share),
        clock_ms=1000 if rng.random() < _CLOCK_OF_SECONDS else 1,
        comes_back=_between(rng, 0.2, 5),
        away=_between(rng, 0.1, 10),
        express=rng.uniform(0.1, 1.0) if rng.random() < _EXPRESS_SHOPS else 0.0,
        habits=_habits(rng),
    )


def _habits(rng: np.random.Generator) -> tuple[tuple[float, ...], ...]:
    factors = np.exp(rng.normal(0.0, _HABIT_SPREAD, (len(EVENT_TYPES) + 1, len(EVENT_TYPES) + 1)))
    for name in ("add_to_cart", "begin_checkout", "purchase"):
        factors[1:, TYPE_CODE[name]] *= _between(rng, *_DEPTH)
    return tuple(map(tuple, factors.tolist()))


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Log-uniform between the two."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
