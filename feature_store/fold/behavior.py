"""The behaviour fold: events -> states. The one definition, for live traffic and for history.

A state is integers only, so the fold is exact: any split of a buyer's events into batches gives the same
bytes. The kernel is a plain loop over the events in arrival order, compiled by numba (docs/adr/0002). What
happens to a duplicate, an event out of order or a late one: docs/concepts.md, "What happens to an event".
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from feature_store.contract.events import EVENT_TYPES, TYPE_CODE, Event, line_of
from feature_store.fold.acts import LATEST, SESSION_COUNTERS, count_act, note_act, open_session
from feature_store.fold.kernel import Number, kernel
from feature_store.fold.memory import (
    PAGES_PER_EVENT,
    Memory,
    add_block,
    empty_memory,
    has_room,
    in_blocks,
    make_room,
)
from feature_store.fold.orders import (
    FIRST,
    MORE,
    SEEN,
    SUM_LIMIT,
    UNKNOWN,
    fold_purchase,
    fold_refund,
    line_key,
    order_key,
)
from feature_store.fold.products import MAX_WORTH_MINOR, ProductArrays, Products, ProductTable
from feature_store.fold.vector import EMBEDDING_SIZE, PRODUCT_SETS

SESSION_GAP_MS: Final = 30 * 60 * 1000
ALLOWED_LATENESS_MS: Final = 30 * 60 * 1000
REMEMBERED_IDS: Final = 64
NO_LIMIT: Final = 2**62
REPEATED: Final = 0
"""The outcome of an event among the last 64: nothing changed. The others, of fold.orders, are SEEN (sent
before that, or an order that was counted), FIRST (counted as ever) and MORE (a further part of an order, or a
refund)."""

COUNTERS: Final = (
    *EVENT_TYPES,
    "events",
    "sessions",
    "active_ms",
    "steps",
    "late",
    "first_time",
    "last_time",
    "price_sum",
    "price_count",
    "cart_value",
    "order_value",
    "viewed",
    "carted",
    "purchased",
    "refunds",
    "block_time",
    "forgotten_until",
    *SESSION_COUNTERS,
)
"""Names of a state's int64 counters: events by type, then sessions and time in ms, then money in minor
units, then how many products each pooled embedding sums; then refunds, the latest event time of the present
block of 64 events, and of the events whose ids are forgotten (ms); then the present session (fold.acts)."""
COUNTER: Final[dict[str, int]] = {name: i for i, name in enumerate(COUNTERS)}
N_COUNTERS: Final = len(COUNTERS)
BITMAP_WORDS: Final = 5
"""256 bits of products, then 64 of categories, as uint64 words."""

_EVENTS: Final = COUNTER["events"]
_SESSIONS: Final = COUNTER["sessions"]
_ACTIVE: Final = COUNTER["active_ms"]
_STEPS: Final = COUNTER["steps"]
_LATE: Final = COUNTER["late"]
_FIRST: Final = COUNTER["first_time"]
_LAST: Final = COUNTER["last_time"]
_PRICE_SUM: Final = COUNTER["price_sum"]
_PRICE_COUNT: Final = COUNTER["price_count"]
_CART_VALUE: Final = COUNTER["cart_value"]
_ORDER_VALUE: Final = COUNTER["order_value"]
_POOLED: Final = COUNTER["viewed"]
_REFUNDS: Final = COUNTER["refunds"]
_BLOCK_TIME: Final = COUNTER["block_time"]
_FORGOTTEN: Final = COUNTER["forgotten_until"]
_SESSION: Final = COUNTER[SESSION_COUNTERS[0]]
_SESSION_END: Final = _SESSION + len(SESSION_COUNTERS)
_VIEW: Final = TYPE_CODE["product_view"]
_CART: Final = TYPE_CODE["add_to_cart"]
_BUY: Final = TYPE_CODE["purchase"]
_REFUND: Final = TYPE_CODE["refund"]
_CATEGORY_WORD: Final = BITMAP_WORDS - 1


class StateArrays(NamedTuple):
    """States of n buyers, one per row: counters int64 [n, 43], bitmaps uint64 [n, 5], ring uint64
    [n, 64] (hashes of the last event ids, a ring by event count), latest int64 [n, 16] (the last acts, see
    feature_store.fold.acts), sums int32 [n, 3, 128], and the memory of older ids and of orders."""

    counters: NDArray[np.int64]
    bitmaps: NDArray[np.uint64]
    ring: NDArray[np.uint64]
    latest: NDArray[np.int64]
    sums: NDArray[np.int32]
    memory: Memory


class EventColumns(NamedTuple):
    """A batch as the kernel reads it: type uint8 [m], time int64 [m] ms, event_id uint64 [m] hash,
    product int64 [m] index, value float64 [m] major units or NaN, quantity int64 [m], order and line uint64
    [m], hashes of feature_store.fold.orders or 0."""

    type: NDArray[np.uint8]
    time: NDArray[np.int64]
    event_id: NDArray[np.uint64]
    product: NDArray[np.int64]
    value: NDArray[np.float64]
    quantity: NDArray[np.int64]
    order: NDArray[np.uint64]
    line: NDArray[np.uint64]


def empty_states(n: int) -> StateArrays:
    """n states without events."""
    return StateArrays(
        counters=np.zeros((n, N_COUNTERS), dtype=np.int64),
        bitmaps=np.zeros((n, BITMAP_WORDS), dtype=np.uint64),
        ring=np.zeros((n, REMEMBERED_IDS), dtype=np.uint64),
        latest=np.zeros((n, LATEST), dtype=np.int64),
        sums=np.zeros((n, len(PRODUCT_SETS), EMBEDDING_SIZE), dtype=np.int32),
        memory=empty_memory(n),
    )


_types = attrgetter("type")
_times = attrgetter("timestamp")
_ids = attrgetter("event_id")
_orders = attrgetter("order")
_OF_ORDERS: Final = frozenset({"purchase", "refund"})
_NAN: Final = float("nan")


def columns(events: Sequence[Event], products: ProductTable) -> EventColumns:
    """The columns that the fold needs, from decoded events."""
    n = len(events)
    order, line = np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.uint64)
    for i, name in enumerate(map(_orders, events)):
        if name is not None and events[i].type in _OF_ORDERS:
            order[i] = order_key(name)
            part = line_of(events[i].line, events[i].value, events[i].product_id)
            line[i] = 0 if part is None else line_key(name, part)
    return EventColumns(
        type=np.fromiter(map(TYPE_CODE.__getitem__, map(_types, events)), np.uint8, n),
        time=np.fromiter(map(_times, events), np.int64, n),
        event_id=np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, map(_ids, events))), np.uint64, n),
        product=np.fromiter(map(products.index, events), np.int64, n),
        value=np.fromiter([_NAN if e.value is None else e.value for e in events], np.float64, n),
        quantity=np.fromiter([e.quantity or 1 for e in events], np.int64, n),
        order=order,
        line=line,
    )


def fold(
    states: StateArrays,
    slots: NDArray[np.int64],
    batch: EventColumns,
    products: Products,
    *,
    allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
    max_events: int = NO_LIMIT,
) -> NDArray[np.bool_]:
    """Fold a batch into states, in place; event i belongs to the state in row slots[i] (int64 [m]).

    max_events: a state takes no more events than this; training uses it to get a buyer's earlier states.
    Returns bool [m]: False if the event changed nothing (sent before, or beyond max_events).
    """
    accepted = np.empty(len(slots), dtype=np.bool_)
    done = 0
    while done < len(slots):
        make_room(states.memory)
        done = _fold(states, slots, batch, done, products.arrays, allowed_lateness_ms, max_events, accepted)
    return accepted


@kernel
def _fold(
    states: StateArrays,
    slots: NDArray[np.int64],
    batch: EventColumns,
    done: int,
    products: ProductArrays,
    allowed_lateness_ms: int,
    max_events: int,
    accepted: NDArray[np.bool_],
) -> int:
    """Fold on from event `done`, as far as the memory has room. Returns how many events are done."""
    for i in range(done, len(slots)):
        if not has_room(states.memory, PAGES_PER_EVENT):
            return i
        outcome = fold_event(states, slots[i], batch, i, products, allowed_lateness_ms, max_events)
        accepted[i] = outcome > REPEATED
    return len(slots)


@kernel
def fold_event(
    states: StateArrays,
    slot: int,
    batch: EventColumns,
    i: int,
    products: ProductArrays,
    allowed_lateness_ms: int,
    max_events: int,
) -> int:
    """Fold event i of a batch into one state. Every other fold calls this kernel.

    The memory must have room for PAGES_PER_EVENT pages. Returns an outcome; only FIRST and MORE, which are
    above REPEATED, changed the state.
    """
    counters = states.counters[slot]
    events, time, kind = counters[_EVENTS], batch.time[i], batch.type[i]
    if events >= max_events or _in_ring(states.ring[slot], events, batch.event_id[i]):
        return REPEATED
    if events > REMEMBERED_IDS and (
        time <= counters[_FORGOTTEN] or in_blocks(states.memory, slot, batch.event_id[i])
    ):
        return SEEN
    worth = _worth(kind, batch.value[i], batch.quantity[i], products, batch.product[i])
    outcome = MORE if kind == _REFUND else FIRST
    if batch.order[i] != 0:
        if kind == _REFUND:
            delta = fold_refund(states.memory, slot, batch.order[i], worth)
        else:
            outcome, delta = fold_purchase(states.memory, slot, batch.order[i], batch.line[i], worth)
        if outcome == SEEN:
            return SEEN
        counters[_ORDER_VALUE] = max(min(counters[_ORDER_VALUE] + delta, SUM_LIMIT), 0)
    _remember(states, slot, batch.event_id[i], time)
    if kind != _REFUND or events == 0:
        _fold_time(counters, time, allowed_lateness_ms)
    counters[_EVENTS] += 1
    if kind == _REFUND:
        counters[_REFUNDS] += 1
        return MORE
    if outcome == FIRST:
        counters[kind] += 1
        count_act(counters[_SESSION:_SESSION_END], kind, time, SESSION_GAP_MS)
        note_act(states.latest[slot], kind, time)
    _fold_product(states, slot, kind, products, batch.product[i])
    _fold_money(counters, kind, worth, products.price_minor[batch.product[i]], batch.order[i] != 0)
    return outcome


@kernel
def _in_ring(ring: NDArray[np.uint64], events: int, event_id: int) -> bool:
    found = False
    for j in range(min(events, REMEMBERED_IDS)):  # without an early exit: compiled to vector instructions
        found |= ring[j] == event_id
    return found


@kernel
def _remember(states: StateArrays, slot: int, event_id: int, time: int) -> None:
    """Put the id into the ring; a ring that came round has become a block of the memory."""
    counters = states.counters[slot]
    events = counters[_EVENTS]
    place = events % REMEMBERED_IDS
    if place == 0 and events > 0:
        forgotten = add_block(states.memory, slot, states.ring[slot], counters[_BLOCK_TIME])
        counters[_FORGOTTEN] = max(counters[_FORGOTTEN], forgotten)
        counters[_BLOCK_TIME] = 0
    states.ring[slot, place] = event_id
    counters[_BLOCK_TIME] = max(counters[_BLOCK_TIME], time)


@kernel
def _fold_time(counters: NDArray[np.int64], time: int, allowed_lateness_ms: int) -> None:
    if counters[_EVENTS] == 0:
        counters[_SESSIONS] = 1
        counters[_FIRST] = time
        counters[_LAST] = time
        open_session(counters[_SESSION:_SESSION_END], time, 0)
        return
    step = time - counters[_LAST]
    if step <= 0:
        counters[_FIRST] = min(counters[_FIRST], time)
        if step < -allowed_lateness_ms:
            counters[_LATE] += 1
        return
    counters[_LAST] = time
    if step > SESSION_GAP_MS:
        counters[_SESSIONS] += 1
        open_session(counters[_SESSION:_SESSION_END], time, step)
    else:
        counters[_ACTIVE] += step
        counters[_STEPS] += 1


@kernel
def _fold_product(states: StateArrays, slot: int, kind: int, products: ProductArrays, product: int) -> None:
    bit = products.product_bit[product]
    if bit >= 0:
        states.bitmaps[slot, bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)
    bit = products.category_bit[product]
    if bit >= 0:
        states.bitmaps[slot, _CATEGORY_WORD] |= np.uint64(1) << np.uint64(bit)
    if not products.known[product]:
        return
    if kind == _VIEW:
        which = 0
    elif kind == _CART:
        which = 1
    elif kind == _BUY:
        which = 2
    else:
        return
    states.counters[slot, _POOLED + which] += 1
    pooled = states.sums[slot, which]
    vector = products.vectors[product]
    for d in range(EMBEDDING_SIZE):
        pooled[d] += vector[d]


@kernel
def _worth(kind: int, value: float, quantity: int, products: ProductArrays, product: int) -> Number:
    """What a cart event, purchase or refund is worth, minor units; UNKNOWN without value and price."""
    if kind not in (_CART, _BUY, _REFUND):
        return UNKNOWN
    if not np.isnan(value):
        return np.int64(min(np.rint(value * products.scale[product]), MAX_WORTH_MINOR))
    price = products.price_minor[product]
    if price < 0:
        return UNKNOWN
    return np.int64(min(float(price) * quantity, MAX_WORTH_MINOR))


@kernel
def _fold_money(
    counters: NDArray[np.int64], kind: int, worth: Number, price: int, is_of_an_order: bool
) -> None:
    """Add to the sums of money; what an order adds to order_value is in it already."""
    if kind == _VIEW:
        if price >= 0:
            counters[_PRICE_SUM] = min(counters[_PRICE_SUM] + price, SUM_LIMIT)
            counters[_PRICE_COUNT] += 1
    elif worth != UNKNOWN and not is_of_an_order:
        total = _CART_VALUE if kind == _CART else _ORDER_VALUE
        counters[total] = min(counters[total] + worth, SUM_LIMIT)
