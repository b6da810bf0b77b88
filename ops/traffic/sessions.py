"""One batch of sessions, walked step by step through their types' Markov chains, all at once.

A walk keeps the rules that make a funnel a funnel, whatever the chain or its noise drew: nothing is
removed from an empty cart, no checkout starts with one, and paying or buying follows a checkout.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from feature_store.contract.events import EVENT_TYPES, TYPE_CODE
from ops.traffic.buyer_types import BUYER_TYPES, EXIT, start_distribution, transition_matrix
from ops.traffic.catalogue import QUERIES_PER_CATEGORY, Catalogue
from ops.traffic.config import MAX_DWELL_MS, MAX_SESSION_MS
from ops.traffic.population import Traits

MAX_STEPS: Final = 80
MAX_CART: Final = 5
_RECENT: Final = 3
_MIN_DWELL_MS: Final = 200
_CANDIDATES: Final = 2
"""Products glanced at before one is opened: the buyer opens the one nearest to his price taste."""

_VIEW = TYPE_CODE["product_view"]
_ADD = TYPE_CODE["add_to_cart"]
_REMOVE = TYPE_CODE["remove_from_cart"]
_CHECKOUT = TYPE_CODE["begin_checkout"]
_PAY = TYPE_CODE["add_payment_info"]
_BUY = TYPE_CODE["purchase"]
_BETWEEN = np.isin(np.arange(len(EVENT_TYPES)), [_ADD, _REMOVE, TYPE_CODE["view_cart"], _CHECKOUT, _PAY])
_LIST = TYPE_CODE["list_view"]
_SEARCH = TYPE_CODE["search"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass
class Walk:
    """Events as columns, int64 [events] each; -1 where an event has none.

    session: row of the batch. step: number within the session. offset: ms since the session's start.
    type: code of feature_store.contract.events.TYPE_CODE. product, category, query: rows of the Catalogue.
    price: the product, where the event names its price. minor: value of the event in minor units.
    """

    session: Ints
    step: Ints
    offset: Ints
    type: Ints
    product: Ints
    category: Ints
    query: Ints
    price: Ints
    minor: Ints

    def take(self, rows: Ints | Bools) -> Walk:
        """The given rows of every column."""
        return Walk(*(getattr(self, column.name)[rows] for column in fields(self)))


class _Carts:
    """What each session has in its cart, and whether it has begun a checkout."""

    def __init__(self, sessions: int, product_minor: Ints) -> None:
        self._product_minor = product_minor
        self._products = np.full((sessions, MAX_CART), -1, dtype=np.int64)
        self._count = np.zeros(sessions, dtype=np.int64)
        self._minor = np.zeros(sessions, dtype=np.int64)
        self._checkout = np.zeros(sessions, dtype=np.bool_)

    def forbid(self, active: Ints, state: Ints) -> Bools:
        """Which of the sessions `active` cannot do what `state` says."""
        empty = self._count[active] == 0
        full = self._count[active] == MAX_CART
        needs_goods = empty & ((state == _REMOVE) | (state == _CHECKOUT))
        needs_checkout = ~self._checkout[active] & ((state == _PAY) | (state == _BUY))
        forbidden: Bools = needs_goods | needs_checkout | (full & (state == _ADD))
        return forbidden

    def follow(self, active: Ints, state: Ints, viewed: Ints) -> tuple[Ints, Ints]:
        """Do what `state` says; the product and the value in minor units of each event, or -1.

        viewed: the product each session saw last, the one that it adds.
        """
        product = np.full(len(active), -1, dtype=np.int64)
        minor = np.full(len(active), -1, dtype=np.int64)

        at = np.flatnonzero(state == _ADD)
        rows = active[at]
        product[at] = viewed[at]
        minor[at] = self._product_minor[product[at]]
        self._products[rows, self._count[rows]] = product[at]
        self._count[rows] += 1
        self._minor[rows] += minor[at]

        at = np.flatnonzero(state == _REMOVE)
        rows = active[at]
        self._count[rows] -= 1
        product[at] = self._products[rows, self._count[rows]]
        minor[at] = self._product_minor[product[at]]
        self._minor[rows] -= minor[at]
        self._checkout[rows[self._count[rows] == 0]] = False

        at = np.flatnonzero((state == _CHECKOUT) | (state == _PAY) | (state == _BUY))
        self._checkout[active[at]] = True
        minor[at] = self._minor[active[at]]
        bought = at[state[at] == _BUY]
        rows = active[bought]
        product[bought] = self._products[rows, self._count[rows] - 1]
        self._count[rows], self._minor[rows], self._checkout[rows] = 0, 0, False
        return product, minor


class Walker:
    """Walks batches of sessions; holds the chains and the catalogue as arrays."""

    def __init__(self, catalogue: Catalogue, noise: float) -> None:
        self._catalogue = catalogue
        profiles = catalogue.profiles
        starts = np.stack([start_distribution(profile.habits) for profile in profiles])
        starts = starts[:, :, :EXIT] / starts[:, :, :EXIT].sum(axis=2, keepdims=True)
        self._start = np.cumsum(starts, axis=2)[:, :, :-1]  # never starts with an exit
        moves = [transition_matrix(noise, profile.persistence, profile.habits) for profile in profiles]
        self._move = np.cumsum(np.stack(moves), axis=3)[:, :, :, :-1]
        self.clock_ms = np.array([profile.clock_ms for profile in profiles])
        self._express = np.array([profile.express for profile in profiles])
        self._log_dwell = np.log([1000 * kind.dwell_seconds for kind in BUYER_TYPES])
        self._dwell_spread = np.array([kind.dwell_spread for kind in BUYER_TYPES])
        self._focus = np.array([kind.focus for kind in BUYER_TYPES])
        self._revisit = np.array([kind.revisit for kind in BUYER_TYPES])
        self._pace = np.log([profile.pace for profile in catalogue.profiles])
        self._sends = np.array([[name in p.event_types for name in EVENT_TYPES] for p in catalogue.profiles])
        self._views_carry_price = np.array([p.views_carry_price for p in catalogue.profiles])

    def walk(self, traits: Traits, rng: np.random.Generator) -> Walk:
        """One session for each row of `traits`; what a shop's pixel does not send is left out."""
        n = len(traits.store)
        offset = np.zeros(n, dtype=np.int64)
        recent = np.full((n, _RECENT), -1, dtype=np.int64)
        carts = _Carts(n, self._catalogue.minor)
        active = np.arange(n)
        state = _draw(self._start[traits.store, traits.type], rng)
        express = self._draw_express(traits.store, rng)
        state[~self._sends[traits.store, state]] = _VIEW  # a session of a shop has at least one event
        steps: list[Walk] = []
        for step in range(MAX_STEPS):
            if step:
                kind, store = traits.type[active], traits.store[active]
                state = _draw(self._move[store, kind, state], rng)
                pace = self._log_dwell[kind] + self._pace[store]
                dwell = np.exp(rng.normal(pace, self._dwell_spread[kind]))
                offset[active] += np.clip(dwell, _MIN_DWELL_MS, MAX_DWELL_MS).astype(np.int64)
                going = (state != EXIT) & (offset[active] <= MAX_SESSION_MS)
                active, state = active[going], state[going]
                if not len(active):
                    break
                impossible = carts.forbid(active, state) | ((state == _ADD) & (recent[active, 0] < 0))
                state[impossible] = _VIEW
            product, minor = carts.follow(active, state, recent[active, 0])
            viewing = np.flatnonzero(state == _VIEW)
            rows = active[viewing]
            product[viewing] = self._open_product(traits.take(rows), recent[rows], rng)
            recent[rows, 1:] = recent[rows, :-1]
            recent[rows, 0] = product[viewing]
            columns = self._columns(active, step, offset, state, product, minor, traits, rng)
            steps.append(columns.take(~(express[columns.session] & _BETWEEN[columns.type])))
        return _concatenate(steps)

    def _draw_express(self, store: Ints, rng: np.random.Generator) -> Bools:
        """Which sessions send nothing between a view and a purchase."""
        if not self._express.any():
            return np.zeros(len(store), dtype=np.bool_)
        return np.asarray(rng.random(len(store)) < self._express[store])

    def _open_product(self, traits: Traits, recent: Ints, rng: np.random.Generator) -> Ints:
        """The product that each buyer opens: one seen lately, or the nearest to his price taste of a few."""
        catalogue = self._catalogue
        n = len(traits.type)
        at_home = rng.random(n) < self._focus[traits.type]
        first = np.where(at_home, traits.home, catalogue.store_categories[traits.store])
        after = np.where(at_home, traits.home + 1, catalogue.store_categories[traits.store + 1])
        low = catalogue.cumulative[catalogue.category_bounds[first]]
        high = catalogue.cumulative[catalogue.category_bounds[after]]
        u = low[:, None] + (high - low)[:, None] * rng.random((n, _CANDIDATES))
        candidates = np.searchsorted(catalogue.cumulative, u, side="right") - 1
        candidates = np.minimum(candidates, catalogue.category_bounds[after][:, None] - 1)
        nearest = np.argmin(np.abs(catalogue.price_rank[candidates] - traits.taste[:, None]), axis=1)
        product: Ints = candidates[np.arange(n), nearest]
        seen = recent[np.arange(n), rng.integers(0, _RECENT, n)]
        return np.where((rng.random(n) < self._revisit[traits.type]) & (seen >= 0), seen, product)

    def _columns(
        self,
        active: Ints,
        step: int,
        offset: Ints,
        state: Ints,
        product: Ints,
        minor: Ints,
        traits: Traits,
        rng: np.random.Generator,
    ) -> Walk:
        store = traits.store[active]
        sought = np.where((state == _LIST) | (state == _SEARCH), traits.home[active], -1)
        word = rng.integers(0, QUERIES_PER_CATEGORY, len(active))
        named = (product >= 0) & ((state != _VIEW) | self._views_carry_price[store])
        walk = Walk(
            session=active,
            step=np.full(len(active), step),
            offset=offset[active],
            type=state,
            product=product,
            category=np.where(state == _LIST, sought, -1),
            query=np.where(state == _SEARCH, sought * QUERIES_PER_CATEGORY + word, -1),
            price=np.where(named, product, -1),
            minor=minor,
        )
        return walk.take(self._sends[store, state])


def _draw(cumulative: npt.NDArray[np.float64], rng: np.random.Generator) -> Ints:
    """One draw a row from cumulative probabilities [n, k-1]: int64 [n] below k."""
    drawn: Ints = (rng.random(len(cumulative))[:, None] >= cumulative).sum(axis=1)
    return drawn


def _concatenate(steps: list[Walk]) -> Walk:
    return Walk(*(np.concatenate([getattr(step, column.name) for step in steps]) for column in fields(Walk)))
