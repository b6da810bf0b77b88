"""The traffic itself: windows of event time, each walked as one batch, given out in delivery order.

Deterministic: window w draws from a generator seeded with (seed, w) alone, and windows follow from the
parameters, so neither the batch size nor what was read before changes a byte.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from feature_store.contract.events import EVENT_TYPES, Event, EventType
from ops.traffic.buyer_types import TYPE_NAMES
from ops.traffic.catalogue import Catalogue, catalogue_of
from ops.traffic.config import FIELDS, TrafficConfig
from ops.traffic.delivery import deliver
from ops.traffic.population import Population, Traits
from ops.traffic.sessions import Walker

BATCH_EVENTS: Final = 10_000
_BUYERS_A_WINDOW: Final = 4_096
"""New buyers walked at once: large enough that numpy's cost per call vanishes, small enough to keep."""
_WRITTEN_AT_ONCE: Final = 2_048
"""Rows turned into events at once: a live sender should not pause for a whole window's."""
_MIN_WINDOW_MS: Final = 10_000
_MAX_WINDOW_MS: Final = 24 * 3_600_000
_HOUR_MS: Final = 3_600_000

Ints = npt.NDArray[np.int64]


def generate(
    config: TrafficConfig, seed: int, *, batch_events: int = BATCH_EVENTS, endless: bool = False
) -> Iterator[list[Event]]:
    """Events in batches of `batch_events` (the last one shorter), in the order of their delivery.

    Delivery follows event time up to config.MAX_DISORDER_MS. A finite run ends with the last delivery
    of what `config.buyers` did within `config.hours`; an endless one never does. Memory: events under
    way (an hour of event time at most) and one number triple a future session.
    """
    pending: list[Event] = []
    for events in _windows(config, seed, endless):
        pending += events
        cut = len(pending) - len(pending) % batch_events
        for start in range(0, cut, batch_events):
            yield pending[start : start + batch_events]
        pending = pending[cut:]
    if pending:
        yield pending


def truth(config: TrafficConfig, seed: int) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """The latent type of every buyer of a finite run: batches of (stores, buyers, types)."""
    catalogue = catalogue_of(config, seed)
    population = Population(config, catalogue, seed)
    for first in range(0, config.buyers, 100_000):
        buyers = np.arange(first, min(first + 100_000, config.buyers), dtype=np.int64)
        traits = population.traits(buyers)
        yield (
            [catalogue.store_names[store] for store in traits.store.tolist()],
            population.names(buyers),
            [TYPE_NAMES[kind] for kind in traits.type.tolist()],
        )


def live_config(config: TrafficConfig, seed: int, events_per_second: float, now_ms: int) -> TrafficConfig:
    """`config` made dense enough to be sent at `events_per_second` with event times near the wall clock.

    New buyers' first sessions alone fill the rate, at every hour alike, and event time starts an hour
    ago: so event time never overtakes the clock, and falls behind it by what returning buyers add.
    """
    flat = replace(config, diurnal=0.0, start_ms=now_ms - _HOUR_MS)
    catalogue = catalogue_of(config, seed)
    pilot = Population(flat, catalogue, seed).traits(np.arange(_BUYERS_A_WINDOW, dtype=np.int64))
    events = len(Walker(catalogue, config.noise).walk(pilot, np.random.default_rng([seed, 2])).type)
    per_buyer = events / _BUYERS_A_WINDOW
    hours = 1.0
    return replace(flat, hours=hours, buyers=max(1, round(events_per_second * 3600 * hours / per_buyer)))


@dataclass
class _Columns:
    """Deliveries waiting for their window, int64 [n] each."""

    at: Ints
    buyer: Ints
    number: Ints
    step: Ints
    timestamp: Ints
    type: Ints
    product: Ints
    category: Ints
    query: Ints
    price: Ints
    minor: Ints

    def take(self, rows: Ints | slice) -> _Columns:
        return _Columns(*(column[rows] for column in vars(self).values()))


def _concatenate(parts: list[_Columns]) -> _Columns:
    return _Columns(
        *(np.concatenate(columns) for columns in zip(*(vars(p).values() for p in parts), strict=True))
    )


def _windows(config: TrafficConfig, seed: int, endless: bool) -> Iterator[list[Event]]:
    """Each window's deliveries, in order. Work of later windows waits in buckets by window number."""
    catalogue = catalogue_of(config, seed)
    population = Population(config, catalogue, seed)
    walker = Walker(catalogue, config.noise)
    write = _Writer(catalogue, population, seed)
    width = int(
        np.clip(_BUYERS_A_WINDOW * config.hours * _HOUR_MS / config.buyers, _MIN_WINDOW_MS, _MAX_WINDOW_MS)
    )
    end_ms = None if endless else config.start_ms + round(config.hours * _HOUR_MS)
    sessions: dict[int, list[tuple[Ints, Ints, Ints]]] = defaultdict(list)
    deliveries: dict[int, list[_Columns]] = defaultdict(list)
    next_buyer = 0

    for window in itertools.count():
        window_start = config.start_ms + window * width
        if end_ms is not None and window_start >= end_ms and not deliveries:
            return
        rng = np.random.default_rng([seed, 1, window])
        arriving_until = window_start + width if end_ms is None else min(window_start + width, end_ms)
        buyers, arrivals = population.arrivals_before(next_buyer, arriving_until)
        if end_ms is not None:
            buyers, arrivals = _only_the_first(config.buyers, buyers, arrivals)
        next_buyer += len(buyers)
        later = population.later_sessions(buyers, arrivals, rng)
        for due in (buyers, np.zeros_like(buyers), arrivals), later:
            within = due[2] < (np.inf if end_ms is None else end_ms)
            _bucket(sessions, tuple(column[within] for column in due), config.start_ms, width)
        if window in sessions:
            parts = sessions.pop(window)
            buyer, number, start = (np.concatenate(column) for column in zip(*parts, strict=True))
            columns = _walk(config, walker, population.traits(buyer), (buyer, number, start), end_ms, rng)
            _bucket_deliveries(deliveries, columns, config.start_ms, width)
        if window in deliveries:
            due_now = _concatenate(deliveries.pop(window))
            order = np.argsort(due_now.at, kind="stable")
            for first in range(0, len(order), _WRITTEN_AT_ONCE):
                yield write(due_now.take(order[first : first + _WRITTEN_AT_ONCE]))


def _only_the_first(count: int, buyers: Ints, arrivals: Ints) -> tuple[Ints, Ints]:
    """The rounding of the rate may let one buyer too many arrive in a finite run's last moment."""
    known = buyers < count
    return buyers[known], arrivals[known]


def _bucket(
    sessions: dict[int, list[tuple[Ints, Ints, Ints]]], due: tuple[Ints, ...], start_ms: int, width: int
) -> None:
    windows = (due[2] - start_ms) // width
    order = np.argsort(windows, kind="stable")
    numbers, firsts = np.unique(windows[order], return_index=True)
    for window, rows in zip(numbers.tolist(), np.split(order, firsts[1:]), strict=False):
        sessions[window].append((due[0][rows], due[1][rows], due[2][rows]))


def _bucket_deliveries(
    deliveries: dict[int, list[_Columns]], columns: _Columns, start_ms: int, width: int
) -> None:
    windows = (columns.at - start_ms) // width
    order = np.argsort(windows, kind="stable")
    numbers, firsts = np.unique(windows[order], return_index=True)
    for window, rows in zip(numbers.tolist(), np.split(order, firsts[1:]), strict=False):
        deliveries[window].append(columns.take(rows))


def _walk(
    config: TrafficConfig,
    walker: Walker,
    traits: Traits,
    due: tuple[Ints, Ints, Ints],
    end_ms: int | None,
    rng: np.random.Generator,
) -> _Columns:
    """The due sessions' events with their deliveries; what happens after the end is cut off."""
    buyer, number, start = due
    walk = walker.walk(traits, rng)
    timestamp = start[walk.session] + walk.offset
    timestamp -= timestamp % walker.clock_ms[traits.store[walk.session]]
    sent = deliver(timestamp, config.duplicates, config.late, rng)
    row = sent.row
    columns = _Columns(
        at=sent.at,
        buyer=buyer[walk.session][row],
        number=number[walk.session][row],
        step=walk.step[row],
        timestamp=timestamp[row],
        type=walk.type[row],
        product=walk.product[row],
        category=walk.category[row],
        query=walk.query[row],
        price=walk.price[row],
        minor=walk.minor[row],
    )
    return columns if end_ms is None else columns.take(np.flatnonzero(columns.timestamp < end_ms))


class _Writer:
    """Turns columns into events."""

    def __init__(self, catalogue: Catalogue, population: Population, seed: int) -> None:
        self._catalogue = catalogue
        self._population = population
        self._seed = f"{seed:x}"
        stores = catalogue.profiles
        self._digits = np.array([10.0**profile.currency_digits for profile in stores])
        self._currency: list[str | None] = [profile.currency for profile in stores]
        product_store = np.repeat(
            np.arange(len(stores)), np.diff(catalogue.category_bounds[catalogue.store_categories])
        )
        self._prices: list[float | None] = [*(catalogue.minor / self._digits[product_store]).tolist(), None]
        self._kept = {field: np.array([field not in shop.loses for shop in stores]) for field in FIELDS}
        self._types: list[EventType] = list(EVENT_TYPES)  # type: ignore[arg-type]  # the literal's own names

    def __call__(self, columns: _Columns) -> list[Event]:
        catalogue = self._catalogue
        distinct, who = np.unique(columns.buyer, return_inverse=True)
        names = self._population.names(distinct)
        stores = self._population.traits(distinct).store
        store = stores[who]

        def kept(field: str, column: Ints) -> Ints:
            return np.where(self._kept[field][store], column, -1)

        # a product names its category; list views and searches bring their own
        product_category = np.array(catalogue.product_categories)[columns.product]
        category = np.where(columns.product >= 0, product_category, columns.category)
        minor, price = kept("value", columns.minor), kept("price", columns.price)
        value = np.where(minor >= 0, minor / self._digits[store], np.nan)
        priced = (price >= 0) | (minor >= 0)
        return [
            Event(
                schema_version=1,
                event_id=f"{self._seed}-{b:x}-{s}-{k}",
                store=catalogue.store_names[at_store],
                buyer=names[w],
                session_id=f"{b:x}-{s}" if in_session else None,
                type=self._types[kind],
                timestamp=ms,
                product_id=catalogue.product_ids[p],
                category=catalogue.categories[c],
                brand=catalogue.brands[made],
                price=self._prices[shown],
                currency=self._currency[at_store] if has_money else None,
                quantity=1 if p >= 0 and m >= 0 else None,
                value=v if m >= 0 else None,
                query=catalogue.queries[q],
            )
            for b, s, k, w, at_store, kind, ms, p, made, c, shown, has_money, m, v, q, in_session in zip(
                columns.buyer.tolist(),
                columns.number.tolist(),
                columns.step.tolist(),
                who.tolist(),
                store.tolist(),
                columns.type.tolist(),
                columns.timestamp.tolist(),
                kept("product_id", columns.product).tolist(),
                kept("brand", columns.product).tolist(),
                kept("category", category).tolist(),
                price.tolist(),
                priced.tolist(),
                minor.tolist(),
                value.tolist(),
                kept("query", columns.query).tolist(),
                self._kept["session_id"][store].tolist(),
                strict=True,
            )
        ]
