"""States of many buyers in growing arrays, and the row of each buyer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.behavior import StateArrays, empty_states
from feature_store.fold.memory import forget

K = TypeVar("K", bound=Hashable)
_FIRST_ROWS: Final = 1024


def _bytes_of(states: StateArrays) -> int:
    arrays = (states.counters, states.bitmaps, states.ring, states.latest, states.sums)
    return sum(array.nbytes for array in arrays) + states.memory.held.nbytes


BYTES_PER_STATE: Final = _bytes_of(empty_states(1))
"""Of a state without pages in its memory."""


class StateTable(Generic[K]):
    """Keys -> rows of StateArrays. Rows are reused after `remove`; arrays double when they are full."""

    def __init__(self, rows: int = _FIRST_ROWS) -> None:
        """Begin with `rows` rows. A row that is never used costs no memory: its pages are not touched."""
        self.slots: dict[K, int] = {}
        self.states = empty_states(rows)
        self._free = list(range(rows - 1, -1, -1))

    def __len__(self) -> int:
        return len(self.slots)

    def add(self, key: K) -> int:
        """Give a new key an empty row and return its slot."""
        if not self._free:
            rows = len(self.states.counters)
            self.states = _longer(self.states, rows)
            self._free = list(range(2 * rows - 1, rows - 1, -1))
        slot = self._free.pop()
        self.slots[key] = slot
        return slot

    def remove(self, keys: Iterable[K]) -> None:
        """Empty the keys' rows and free them."""
        slots = [self.slots.pop(key) for key in keys]
        self.clear(np.array(slots, dtype=np.int64))
        self._free += slots

    def clear(self, slots: NDArray[np.int64]) -> None:
        """Empty rows that stay with their keys."""
        states = self.states
        for array in (states.counters, states.bitmaps, states.ring, states.latest, states.sums):
            array[slots] = 0
        forget(states.memory, slots)

    @property
    def page_bytes(self) -> int:
        """Bytes of the pages that the states' memory has room for."""
        return self.states.memory.pages.nbytes + self.states.memory.links.nbytes

    def rows(self) -> NDArray[np.int64]:
        """The slots in use, int64 [n], in the order of `slots`."""
        return np.fromiter(self.slots.values(), np.int64, len(self.slots))


def _longer(states: StateArrays, rows: int) -> StateArrays:
    """The states with so many empty ones after them."""
    more, memory = empty_states(rows), states.memory
    return StateArrays(
        counters=np.concatenate([states.counters, more.counters]),
        bitmaps=np.concatenate([states.bitmaps, more.bitmaps]),
        ring=np.concatenate([states.ring, more.ring]),
        latest=np.concatenate([states.latest, more.latest]),
        sums=np.concatenate([states.sums, more.sums]),
        memory=memory._replace(held=np.concatenate([memory.held, more.memory.held])),
    )
