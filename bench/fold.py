"""The fold alone, on one core: the compiled loop, the extraction before it, and numpy's way beside them.

    .venv/bin/python -m bench.fold [EVENTS]

Each step is run over all batches ROUNDS times; the fastest round counts, since other work on the machine only
ever adds. numpy's way is the core of what vectorised code would do: counts by ufunc.at, embedding sums by
sort and reduceat; it has no duplicate window, no sessions and no bitmaps, so it is a lower bound.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import TYPE_CODE, Event, decode_event, encode_event
from feature_store.fold.behavior import (
    COUNTER,
    N_COUNTERS,
    EventColumns,
    StateArrays,
    columns,
    empty_states,
    fold,
)
from feature_store.fold.products import ProductTable
from feature_store.fold.vectors import fold_each
from ops.replay.events import first_events
from ops.traffic import TrafficConfig, generate

BATCH: Final = 4_000
ROUNDS: Final = 7
_SETS: Final = np.full(len(TYPE_CODE), -1)
_SETS[[TYPE_CODE["product_view"], TYPE_CODE["add_to_cart"], TYPE_CODE["purchase"]]] = [0, 1, 2]


class Batch(NamedTuple):
    """One micro-batch: its records, events, columns and slots (int64 [m])."""

    raw: list[bytes]
    events: list[Event]
    columns: EventColumns
    slots: NDArray[np.int64]


def main() -> None:
    """Print a Markdown table of microseconds per event."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    products = ProductTable()
    buyers: dict[tuple[str, str], int] = {}
    batches = list(_batches(count, products, buyers))
    events = sum(len(batch.events) for batch in batches)
    steps: dict[str, Callable[[StateArrays, Batch], object]] = {
        "decode and validate (msgspec)": lambda _, b: [decode_event(raw) for raw in b.raw],
        "columns()": lambda _, b: columns(b.events, products),
        "fold()": lambda s, b: fold(s, b.slots, b.columns, products),
        "fold_each(): fold, and a vector after every event": lambda s, b: fold_each(
            s, b.slots, b.columns, products
        ),
        "numpy: counts, money, last time by ufunc.at": lambda s, b: _numpy_counts(s, b, products),
        "numpy: embedding sums by sort and reduceat": lambda s, b: _numpy_sums(s, b, products),
    }
    print(f"{events:,} events, {len(buyers):,} buyers, batches of {BATCH:,}, best of {ROUNDS}\n")
    print("| step | us of CPU per event |\n|---|---:|")
    for name, step in steps.items():
        print(f"| {name} | {_best(step, batches, len(buyers)) / events * 1e6:.2f} |")


def _batches(count: int, products: ProductTable, buyers: dict[tuple[str, str], int]) -> Iterator[Batch]:
    for events in first_events(generate(TrafficConfig(buyers=50_000), seed=1, batch_events=BATCH), count):
        slots = [buyers.setdefault((event.store, event.buyer), len(buyers)) for event in events]
        raw = [encode_event(event) for event in events]
        yield Batch(raw, events, columns(events, products), np.array(slots, dtype=np.int64))


def _best(step: Callable[[StateArrays, Batch], object], batches: list[Batch], buyers: int) -> float:
    """CPU seconds of the fastest round, each from empty states; the first warms caches and compiles."""
    seconds = []
    for _ in range(ROUNDS):
        states = empty_states(buyers)
        for array in (states.counters, states.bitmaps, states.ring, states.latest, states.sums):
            array.fill(0)  # touch the pages now: a worker's cache is warm
        started = time.process_time()
        for batch in batches:
            step(states, batch)
        seconds.append(time.process_time() - started)
    return min(seconds)


def _numpy_counts(states: StateArrays, batch: Batch, products: ProductTable) -> None:
    counters, cols = states.counters.reshape(-1), batch.columns
    rows = batch.slots * N_COUNTERS
    np.add.at(counters, rows + cols.type, 1)
    np.maximum.at(counters, rows + COUNTER["last_time"], cols.time)
    prices = np.maximum(products.arrays.price_minor[cols.product], 0)
    np.add.at(counters, rows + COUNTER["price_sum"], prices)


def _numpy_sums(states: StateArrays, batch: Batch, products: ProductTable) -> None:
    which = _SETS[batch.columns.type]
    pooled = np.flatnonzero((which >= 0) & products.arrays.known[batch.columns.product])
    if not len(pooled):
        return
    places = batch.slots[pooled] * 3 + which[pooled]
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(places[order]) > 0])
    vectors = products.arrays.vectors[batch.columns.product[pooled[order]]].astype(np.int32)
    sums = states.sums.reshape(-1, states.sums.shape[2])
    sums[places[order[starts]]] += np.add.reduceat(vectors, starts, axis=0)


if __name__ == "__main__":
    main()
