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

from feature_store.contract.events import EVENT_TYPES, TYPE_CODE, Event
from feature_store.fold.kernel import kernel
from feature_store.fold.products import MAX_WORTH_MINOR, ProductArrays, Products, ProductTable
from feature_store.fold.vector import EMBEDDING_SIZE, PRODUCT_SETS

SESSION_GAP_MS: Final = 30 * 60 * 1000
ALLOWED_LATENESS_MS: Final = 30 * 60 * 1000
REMEMBERED_IDS: Final = 64
NO_LIMIT: Final = 2**62

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
)
"""Names of a state's int64 counters: events by type, then sessions and time in ms, then money in minor
units, then how many products each pooled embedding sums."""
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
_VIEW: Final = TYPE_CODE["product_view"]
_CART: Final = TYPE_CODE["add_to_cart"]
_BUY: Final = TYPE_CODE["purchase"]
_CATEGORY_WORD: Final = BITMAP_WORDS - 1


class StateArrays(NamedTuple):
    """States of n buyers, one per row: counters int64 [n, 26], bitmaps uint64 [n, 5], ring uint64
    [n, 64] (hashes of the last event ids, a ring by event count), sums int32 [n, 3, 128]."""

    counters: NDArray[np.int64]
    bitmaps: NDArray[np.uint64]
    ring: NDArray[np.uint64]
    sums: NDArray[np.int32]


class EventColumns(NamedTuple):
    """A batch as the kernel reads it: type uint8 [m], time int64 [m] ms, event_id uint64 [m] hash,
    product int64 [m] index, value float64 [m] major units or NaN, quantity int64 [m]."""

    type: NDArray[np.uint8]
    time: NDArray[np.int64]
    event_id: NDArray[np.uint64]
    product: NDArray[np.int64]
    value: NDArray[np.float64]
    quantity: NDArray[np.int64]


def empty_states(n: int) -> StateArrays:
    """n states without events."""
    return StateArrays(
        counters=np.zeros((n, N_COUNTERS), dtype=np.int64),
        bitmaps=np.zeros((n, BITMAP_WORDS), dtype=np.uint64),
        ring=np.zeros((n, REMEMBERED_IDS), dtype=np.uint64),
        sums=np.zeros((n, len(PRODUCT_SETS), EMBEDDING_SIZE), dtype=np.int32),
    )


_types = attrgetter("type")
_times = attrgetter("timestamp")
_ids = attrgetter("event_id")
_NAN: Final = float("nan")


def columns(events: Sequence[Event], products: ProductTable) -> EventColumns:
    """The columns that the fold needs, from decoded events."""
    n = len(events)
    return EventColumns(
        type=np.fromiter(map(TYPE_CODE.__getitem__, map(_types, events)), np.uint8, n),
        time=np.fromiter(map(_times, events), np.int64, n),
        event_id=np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, map(_ids, events))), np.uint64, n),
        product=np.fromiter(map(products.index, events), np.int64, n),
        value=np.fromiter([_NAN if e.value is None else e.value for e in events], np.float64, n),
        quantity=np.fromiter([e.quantity or 1 for e in events], np.int64, n),
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
    Returns bool [m]: False if the event changed nothing (a duplicate, or beyond max_events).
    """
    accepted = np.empty(len(slots), dtype=np.bool_)
    _fold(states, slots, batch, products.arrays, allowed_lateness_ms, max_events, accepted)
    return accepted


@kernel
def _fold(
    states: StateArrays,
    slots: NDArray[np.int64],
    batch: EventColumns,
    products: ProductArrays,
    allowed_lateness_ms: int,
    max_events: int,
    accepted: NDArray[np.bool_],
) -> None:
    for i in range(len(slots)):
        accepted[i] = fold_event(states, slots[i], batch, i, products, allowed_lateness_ms, max_events)


@kernel
def fold_event(
    states: StateArrays,
    slot: int,
    batch: EventColumns,
    i: int,
    products: ProductArrays,
    allowed_lateness_ms: int,
    max_events: int,
) -> bool:
    """Fold event i of a batch into one state. Every other fold calls this kernel. False: no change."""
    counters = states.counters[slot]
    if counters[_EVENTS] >= max_events:
        return False
    if _is_duplicate(states.ring[slot], counters[_EVENTS], batch.event_id[i]):
        return False
    states.ring[slot, counters[_EVENTS] % REMEMBERED_IDS] = batch.event_id[i]
    _fold_time(counters, batch.time[i], allowed_lateness_ms)
    counters[batch.type[i]] += 1
    counters[_EVENTS] += 1
    _fold_product(states, slot, batch.type[i], products, batch.product[i])
    _fold_money(counters, batch.type[i], batch.value[i], batch.quantity[i], products, batch.product[i])
    return True


@kernel
def _is_duplicate(ring: NDArray[np.uint64], events: int, event_id: int) -> bool:
    for j in range(min(events, REMEMBERED_IDS)):  # noqa: SIM110  (numba compiles no generator here)
        if ring[j] == event_id:
            return True
    return False


@kernel
def _fold_time(counters: NDArray[np.int64], time: int, allowed_lateness_ms: int) -> None:
    if counters[_EVENTS] == 0:
        counters[_SESSIONS] = 1
        counters[_FIRST] = time
        counters[_LAST] = time
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
def _fold_money(
    counters: NDArray[np.int64], kind: int, value: float, quantity: int, products: ProductArrays, product: int
) -> None:
    price = products.price_minor[product]
    if kind == _VIEW:
        if price >= 0:
            counters[_PRICE_SUM] += price
            counters[_PRICE_COUNT] += 1
        return
    if kind not in (_CART, _BUY):
        return
    if not np.isnan(value):
        worth = np.rint(value * products.scale[product])
    elif price >= 0:
        worth = float(price) * quantity
    else:
        return
    counters[_CART_VALUE if kind == _CART else _ORDER_VALUE] += np.int64(min(worth, MAX_WORTH_MINOR))
