"""Buyers in the cache, read from the store where they are not: what an erasure made void stays out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_store.errors import RowVersionError
from feature_store.online.rows import OnlineRows
from streams.errors import UnreadableRowError
from streams.live.cache import BuyerCache
from streams.live.pending import PendingErasures
from streams.live.unreadable_rows.naming import check_state
from streams.metrics import WorkerMetrics


class Buyers:
    """The cache, and the store behind it."""

    def __init__(
        self, cache: BuyerCache, rows: OnlineRows, erasures: PendingErasures, metrics: WorkerMetrics
    ) -> None:
        self.cache = cache
        self._rows, self._erasures, self._metrics = rows, erasures, metrics

    def of(self, number: int, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Slots, int64 [n], of buyers of a partition; who is in neither cache nor store gets an empty state.

        Raises:
            UnreadableRowError: a row cannot be read.
            OnlineStoreError: the store did not answer.
        """
        absent = [key for key in keys if key not in self.cache.slots]
        for key in absent:
            self.cache.add(key, number)
        self.load({number: absent} if absent else {})
        return self.cache.slots_of(keys)

    def load(self, missing: Mapping[int, Sequence[bytes]]) -> None:
        """Read the rows of buyers new to the cache, keys by partition.

        Raises:
            UnreadableRowError: a row cannot be read.
            OnlineStoreError: the store did not answer.
        """
        if not missing:
            return
        for number, rows in self._rows.read_states(missing).items():
            self._metrics.cache_misses.inc(len(rows))
            found = zip(missing[number], rows, strict=True)
            self._fill(number, [(key, row) for key, row in found if row is not None])

    def check(self, number: int, key: bytes) -> None:
        """Look at a buyer's row in the store, and leave the cache alone.

        Raises:
            UnreadableRowError: it cannot be read.
            OnlineStoreError: the store did not answer.
        """
        (row,) = self._rows.read_states({number: [key]})[number]
        if row is not None:
            check_state(number, key, row)

    def take(self, number: int, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Take (key, state row) of a partition, read a moment ago, in; they are the first to be evicted."""
        for key, _ in rows:
            self.cache.add(key, number)
        self.cache.mark_used(self.cache.slots_of([key for key, _ in rows]), 0)
        self._fill(number, rows)

    def _readable(self, number: int, rows: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """Leave out rows that cannot be read of buyers who are to be erased: those are void anyway."""
        for key, row in rows:
            try:
                check_state(number, key, row)
            except UnreadableRowError:
                if self._erasures.void_before(number, key) < 0:
                    raise
            else:
                yield key, row

    def _fill(self, number: int, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Fill empty slots; rows from before an erasure count as absent."""
        slots = self.cache.slots_of([key for key, _ in rows])
        try:
            self.cache.fill(slots.tolist(), [row for _, row in rows])
        except RowVersionError:
            for slot in slots.tolist():
                self.cache.reset(slot)
            rows = list(self._readable(number, rows))
            slots = self.cache.slots_of([key for key, _ in rows])
            self.cache.fill(slots.tolist(), [row for _, row in rows])
        for slot in slots.tolist():
            if self.cache.since_offset(slot) < self._erasures.void_before(number, self.cache.keys[slot]):
                self.cache.reset(slot)
