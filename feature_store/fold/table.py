"""States of many buyers in growing arrays, and the row of each buyer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.behavior import StateArrays, empty_states

K = TypeVar("K", bound=Hashable)
_FIRST_ROWS: Final = 1024
BYTES_PER_STATE: Final = sum(array.nbytes for array in empty_states(1))


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
            self.states = StateArrays(
                *(
                    np.concatenate([old, new])
                    for old, new in zip(self.states, empty_states(rows), strict=True)
                )
            )
            self._free = list(range(2 * rows - 1, rows - 1, -1))
        slot = self._free.pop()
        self.slots[key] = slot
        return slot

    def remove(self, keys: Iterable[K]) -> None:
        """Empty the keys' rows and free them."""
        slots = [self.slots.pop(key) for key in keys]
        for array in self.states:
            array[slots] = 0
        self._free += slots

    def rows(self) -> NDArray[np.int64]:
        """The slots in use, int64 [n], in the order of `slots`."""
        return np.fromiter(self.slots.values(), np.int64, len(self.slots))
