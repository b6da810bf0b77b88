"""States -> the vectors that an encoder reads: for whole tables, or after each event of a batch.

The layout, units and names are in feature_store.fold.vector. Money is in minor units / 100, so that
currencies with and without a minor unit have one scale.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import EVENT_TYPES
from feature_store.fold.acts import AWAY, KINDS, N_KINDS, SESSION_COUNTERS, START, write_acts
from feature_store.fold.behavior import (
    ALLOWED_LATENESS_MS,
    BITMAP_WORDS,
    COUNTER,
    NO_LIMIT,
    REPEATED,
    EventColumns,
    StateArrays,
    fold_event,
)
from feature_store.fold.kernel import kernel
from feature_store.fold.memory import PAGES_PER_EVENT, has_room, make_room
from feature_store.fold.products import CATEGORY_BITS, PRODUCT_BITS, ProductArrays, Products
from feature_store.fold.vector import (
    EMBEDDING_SIZE,
    EMBEDDINGS,
    MASKS,
    N_SCALARS,
    PRODUCT_SETS,
    SESSION,
    SESSION_SCALARS,
    VECTOR_SIZE,
)

_N_SETS: Final = len(PRODUCT_SETS)
_EMBEDDINGS_AT: Final = EMBEDDINGS.start
_MASKS_AT: Final = MASKS.start
_SESSION_AT: Final = SESSION.start
_ACTS_AT: Final = SESSION.stop
_CATEGORY_WORD: Final = BITMAP_WORDS - 1

_EVENTS: Final = COUNTER["events"]
_SESSIONS: Final = COUNTER["sessions"]
_SESSION_ACTS: Final = COUNTER[f"session_{EVENT_TYPES[0]}"]
_SESSION_ACTS_TO: Final = _SESSION_ACTS + len(EVENT_TYPES)
_ACTIVE: Final = COUNTER["active_ms"]
_STEPS: Final = COUNTER["steps"]
_LAST: Final = COUNTER["last_time"]
_VIEWS: Final = COUNTER["product_view"]
_LISTS: Final = COUNTER["list_view"]
_SEARCHES: Final = COUNTER["search"]
_CARTS: Final = COUNTER["add_to_cart"]
_CART_VIEWS: Final = COUNTER["view_cart"]
_REMOVALS: Final = COUNTER["remove_from_cart"]
_CHECKOUTS: Final = COUNTER["begin_checkout"]
_PAYMENTS: Final = COUNTER["add_payment_info"]
_PURCHASES: Final = COUNTER["purchase"]
_PRICE_SUM: Final = COUNTER["price_sum"]
_PRICE_COUNT: Final = COUNTER["price_count"]
_CART_VALUE: Final = COUNTER["cart_value"]
_ORDER_VALUE: Final = COUNTER["order_value"]
_POOLED: Final = COUNTER["viewed"]
_FIRST: Final = COUNTER["first_time"]
_OF_SESSION: Final = COUNTER[SESSION_COUNTERS[0]]


def _linear_counting(bits: int) -> NDArray[np.float64]:
    """The estimate by number of set bits: -m ln(share of bits that are 0), Whang et al. 1990. A full bitmap
    counts as one bit short of full."""
    zeros = np.maximum(bits - np.arange(bits + 1), 1)
    return np.asarray(-bits * np.log(zeros / bits))


_PRODUCTS_OF: Final = _linear_counting(PRODUCT_BITS)
_CATEGORIES_OF: Final = _linear_counting(CATEGORY_BITS)


def vectors(states: StateArrays, slots: NDArray[np.int64]) -> NDArray[np.float32]:
    """The raw float32 [n, W] vectors of the rows `slots` (int64 [n])."""
    out = np.zeros((len(slots), VECTOR_SIZE), dtype=np.float32)
    _write_vectors(states, slots, out)
    return out


def scalars(states: StateArrays, slots: NDArray[np.int64]) -> NDArray[np.float32]:
    """Only the 16 scalars, float32 [n, 16]: the first columns of `vectors`, at less cost."""
    out = np.empty((len(slots), N_SCALARS), dtype=np.float32)
    _scalars_of_all(states, slots, out)
    return out


class Steps(NamedTuple):
    """The state after each of the k events of a batch that changed it, in order."""

    places: NDArray[np.int64]
    """[k]: the event's index in the batch."""
    vectors: NDArray[np.float32]
    """[k, W]: the vector of the state."""
    events: NDArray[np.int64]
    """[k]: the buyer's events so far."""
    last_time: NDArray[np.int64]
    """[k]: the buyer's latest event time, ms."""
    session_events: NDArray[np.int64]
    """[k]: the buyer's events in the present session."""
    outcomes: NDArray[np.int8]
    """[m]: what became of each event of the batch, as fold_event says."""


def fold_each(
    states: StateArrays,
    slots: NDArray[np.int64],
    batch: EventColumns,
    products: Products,
    *,
    allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
) -> Steps:
    """Fold a batch in place, as behavior.fold does, and make the vector after every event.

    Assignments then depend only on a buyer's events, not on where a batch ends (docs/adr/0013).
    """
    n = len(slots)
    steps = Steps(
        places=np.empty(n, dtype=np.int64),
        vectors=np.zeros((n, VECTOR_SIZE), dtype=np.float32),
        events=np.empty(n, dtype=np.int64),
        last_time=np.empty(n, dtype=np.int64),
        session_events=np.empty(n, dtype=np.int64),
        outcomes=np.empty(n, dtype=np.int8),
    )
    done, count = 0, 0
    while done < n:
        make_room(states.memory)
        done, count = _fold_each(
            states, slots, batch, done, products.arrays, allowed_lateness_ms, count, steps
        )
    return Steps(
        steps.places[:count],
        steps.vectors[:count],
        steps.events[:count],
        steps.last_time[:count],
        steps.session_events[:count],
        steps.outcomes,
    )


@kernel
def _fold_each(
    states: StateArrays,
    slots: NDArray[np.int64],
    batch: EventColumns,
    done: int,
    products: ProductArrays,
    allowed_lateness_ms: int,
    count: int,
    steps: Steps,
) -> tuple[int, int]:
    """Fold on from event `done`, as far as the memory has room. Returns how many are done, and accepted."""
    for i in range(done, len(slots)):
        if not has_room(states.memory, PAGES_PER_EVENT):
            return i, count
        steps.outcomes[i] = fold_event(states, slots[i], batch, i, products, allowed_lateness_ms, NO_LIMIT)
        if steps.outcomes[i] > REPEATED:
            steps.places[count] = i
            steps.events[count] = states.counters[slots[i], _EVENTS]
            steps.last_time[count] = states.counters[slots[i], _LAST]
            steps.session_events[count] = states.counters[slots[i], _SESSION_ACTS:_SESSION_ACTS_TO].sum()
            _write_vector(states, slots[i], steps.vectors[count])
            count += 1
    return len(slots), count


class EventNumbers(NamedTuple):
    """For each of the m events of a batch, the buyer's events, sessions and latest event time (ms) so far,
    int64 [m] each.

    events is 0 for an event that changed nothing.
    """

    events: NDArray[np.int64]
    sessions: NDArray[np.int64]
    last_time: NDArray[np.int64]


def fold_numbered(
    states: StateArrays, slots: NDArray[np.int64], batch: EventColumns, products: Products
) -> EventNumbers:
    """Fold a batch in place, as behavior.fold does, and number each event within its buyer."""
    numbers = EventNumbers(*np.zeros((3, len(slots)), dtype=np.int64))
    done = 0
    while done < len(slots):
        make_room(states.memory)
        done = _fold_numbered(states, slots, batch, done, products.arrays, numbers)
    return numbers


@kernel
def _fold_numbered(
    states: StateArrays,
    slots: NDArray[np.int64],
    batch: EventColumns,
    done: int,
    products: ProductArrays,
    numbers: EventNumbers,
) -> int:
    for i in range(done, len(slots)):
        if not has_room(states.memory, PAGES_PER_EVENT):
            return i
        if fold_event(states, slots[i], batch, i, products, ALLOWED_LATENESS_MS, NO_LIMIT) > REPEATED:
            numbers.events[i] = states.counters[slots[i], _EVENTS]
            numbers.sessions[i] = states.counters[slots[i], _SESSIONS]
            numbers.last_time[i] = states.counters[slots[i], _LAST]
    return len(slots)


def fold_to(
    states: StateArrays,
    slots: NDArray[np.int64],
    batch: EventColumns,
    products: Products,
    places: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Fold a batch in place; the vectors float32 [k, W] after its events `places`, int64 [k], ascending."""
    out = np.zeros((len(places), VECTOR_SIZE), dtype=np.float32)
    done, count = 0, 0
    while done < len(slots):
        make_room(states.memory)
        done, count = _fold_to(states, slots, batch, done, products.arrays, places, count, out)
    return out


@kernel
def _fold_to(
    states: StateArrays,
    slots: NDArray[np.int64],
    batch: EventColumns,
    done: int,
    products: ProductArrays,
    places: NDArray[np.int64],
    count: int,
    out: NDArray[np.float32],
) -> tuple[int, int]:
    for i in range(done, len(slots)):
        if not has_room(states.memory, PAGES_PER_EVENT):
            return i, count
        fold_event(states, slots[i], batch, i, products, ALLOWED_LATENESS_MS, NO_LIMIT)
        if count < len(places) and places[count] == i:
            _write_vector(states, slots[i], out[count])
            count += 1
    return len(slots), count


@kernel
def _write_vectors(states: StateArrays, slots: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    for i in range(len(slots)):
        _write_vector(states, slots[i], out[i])


@kernel
def _scalars_of_all(states: StateArrays, slots: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    for i in range(len(slots)):
        _scalars(states, slots[i], out[i])


@kernel
def _scalars(states: StateArrays, slot: int, out: NDArray[np.float32]) -> None:
    c = states.counters[slot]
    active = c[_ACTIVE] / 1000.0
    products = 0
    for word in range(_CATEGORY_WORD):
        products += _ones(states.bitmaps[slot, word])
    out[0] = c[_EVENTS]
    out[1] = c[_SESSIONS]
    out[2] = active
    out[3] = active / max(c[_STEPS], 1)
    out[4] = c[_VIEWS]
    out[5] = _PRODUCTS_OF[products]
    out[6] = _CATEGORIES_OF[_ones(states.bitmaps[slot, _CATEGORY_WORD])]
    out[7] = c[_LISTS]
    out[8] = c[_SEARCHES]
    out[9] = c[_CARTS]
    out[10] = c[_CART_VIEWS] + c[_REMOVALS]
    out[11] = c[_CHECKOUTS] + c[_PAYMENTS]
    out[12] = c[_PURCHASES]
    out[13] = c[_PRICE_SUM] / max(c[_PRICE_COUNT], 1) / 100.0
    out[14] = c[_CART_VALUE] / 100.0
    out[15] = c[_ORDER_VALUE] / 100.0


@kernel
def _write_vector(states: StateArrays, slot: int, out: NDArray[np.float32]) -> None:
    c = states.counters[slot]
    _scalars(states, slot, out)
    for which in range(_N_SETS):
        if c[_POOLED + which] > 0:
            out[_MASKS_AT + which] = 1.0
            start = _EMBEDDINGS_AT + which * EMBEDDING_SIZE
            _pool(states.sums[slot, which], out[start : start + EMBEDDING_SIZE])
    _session(c, out[_SESSION_AT:_ACTS_AT])
    write_acts(states.latest[slot], out[_ACTS_AT:])


@kernel
def _session(c: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    session = c[_OF_SESSION:]
    acts = np.int64(0)
    for kind in range(N_KINDS):
        acts += session[KINDS + kind]
        out[kind] = session[KINDS + kind]
    out[N_KINDS] = acts
    if session[START] > 0:  # 0: a state from before sessions were counted
        out[N_KINDS + 1] = max(c[_LAST] - session[START], 0) / 1000.0
    out[N_KINDS + 2] = session[AWAY] / 1000.0
    out[N_KINDS + 3] = (c[_LAST] - c[_FIRST]) / 1000.0


@kernel
def _pool(sums: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    # A mean of the product vectors, brought to unit length: the count cancels out, the direction stays.
    square = np.int64(0)
    for d in range(EMBEDDING_SIZE):
        square += np.int64(sums[d]) * np.int64(sums[d])
    if square > 0:
        norm = 1.0 / np.sqrt(float(square))
        for d in range(EMBEDDING_SIZE):
            out[d] = sums[d] * norm


@kernel
def _ones(word: np.uint64) -> int:
    count = 0
    while word != 0:
        word &= word - np.uint64(1)
        count += 1
    return count


assert len(SESSION_SCALARS) == N_KINDS + 4, "_session writes SESSION_SCALARS, in their order"
assert N_SCALARS == 16, "_scalars writes the scalars of feature_store.fold.vector.SCALARS, in their order"
