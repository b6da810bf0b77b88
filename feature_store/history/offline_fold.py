"""The offline fold: history (files, archive, topic) -> states, with the kernel of the live path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.behavior import ALLOWED_LATENESS_MS, NO_LIMIT, EventColumns, columns, fold
from feature_store.fold.products import ProductTable
from feature_store.fold.state import pack_states
from feature_store.fold.table import StateTable
from feature_store.fold.vectors import Steps, fold_each, vectors

BuyerKey = tuple[str, str]
"""(store, buyer)."""


class History:
    """The states of all buyers of a history. Add batches in arrival order."""

    def __init__(self, *, prefix: int | None = None, allowed_lateness_ms: int = ALLOWED_LATENESS_MS) -> None:
        """With `prefix`, only the first so many events of each buyer are folded."""
        self.table: StateTable[BuyerKey] = StateTable()
        self._products = ProductTable()
        self._max_events = NO_LIMIT if prefix is None else prefix
        self._allowed_lateness_ms = allowed_lateness_ms

    def add(self, events: Sequence[Event]) -> NDArray[np.bool_]:
        """Fold a batch; bool [m], False for an event that changed nothing (see behavior.fold)."""
        slots, table = self._place(events)
        return fold(
            self.table.states,
            slots,
            table,
            self._products,
            allowed_lateness_ms=self._allowed_lateness_ms,
            max_events=self._max_events,
        )

    def add_each(self, events: Sequence[Event]) -> Steps:
        """Fold a batch and make the vector after every event (see vectors.fold_each); ignores `prefix`."""
        slots, table = self._place(events)
        lateness = self._allowed_lateness_ms
        return fold_each(self.table.states, slots, table, self._products, allowed_lateness_ms=lateness)

    def _place(self, events: Sequence[Event]) -> tuple[NDArray[np.int64], EventColumns]:
        known = self.table.slots
        slots = np.empty(len(events), dtype=np.int64)
        for i, event in enumerate(events):
            key = (event.store, event.buyer)
            slot = known.get(key)
            slots[i] = self.table.add(key) if slot is None else slot
        self._products.trim()
        return slots, columns(events, self._products)

    @property
    def buyers(self) -> list[BuyerKey]:
        """All buyers in order of first arrival. `vectors` and `states` have the same order."""
        return list(self.table.slots)

    def vectors(self) -> NDArray[np.float32]:
        """Raw vectors float32 [n, 403] of `buyers`."""
        return vectors(self.table.states, self.table.rows())

    def states(self) -> dict[BuyerKey, bytes]:
        """Each buyer's packed state: what the online store must hold."""
        return dict(zip(self.buyers, pack_states(self.table.states, self.table.rows()), strict=True))


def fold_history(
    batches: Iterable[Sequence[Event]],
    *,
    prefix: int | None = None,
    allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
) -> History:
    """Fold a whole history at once; see History."""
    history = History(prefix=prefix, allowed_lateness_ms=allowed_lateness_ms)
    for batch in batches:
        history.add(batch)
    return history


def warm_up() -> None:
    """Load the compiled kernels now, so that a worker's first batch does not wait a second for them."""
    event = Event(schema_version=1, event_id="warm-up", store="warm-up", buyer="0", type="login", timestamp=1)
    history = History()
    history.add([event])
    history.add_each([event])
    history.vectors()
    history.states()
