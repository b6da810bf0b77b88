"""The write-back cache: buyers' states in memory, bounded in bytes, in front of the online store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.state import FOLD_VERSION, pack_states, unpack_states
from feature_store.fold.table import BYTES_PER_STATE, StateTable
from feature_store.online.encoding import RowHeader, pack_row, unpack_row

_EVICT_SHARE: Final = 0.25  # evicting a quarter at once keeps the search for victims rare
_KEY_BYTES: Final = 300  # a dict entry, the key and its list slot, generously
_NOTHING_SAID: Final = (-1, -1, 0, 0)


class Meta(NamedTuple):
    """What is known of a slot beside its state; arrays of one length, named as in RowHeader.

    counted: the windows have counted what was last said. distance, margin and confidence are the encoder's
    last words (distance NaN: not encoded since the row was read). used is the number of the last batch
    that touched the slot; dirty says that the store lags behind.
    """

    partition: NDArray[np.int32]
    since_offset: NDArray[np.int64]
    last_offset: NDArray[np.int64]
    code: NDArray[np.int16]
    type: NDArray[np.int8]
    band: NDArray[np.uint8]
    version: NDArray[np.uint32]
    counted: NDArray[np.bool_]
    fold: NDArray[np.uint8]
    distance: NDArray[np.float32]
    margin: NDArray[np.float32]
    confidence: NDArray[np.float32]
    used: NDArray[np.int64]
    dirty: NDArray[np.bool_]


def _meta(n: int) -> Meta:
    return Meta(
        partition=np.full(n, -1, dtype=np.int32),
        since_offset=np.full(n, -1, dtype=np.int64),
        last_offset=np.full(n, -1, dtype=np.int64),
        code=np.full(n, -1, dtype=np.int16),
        type=np.full(n, -1, dtype=np.int8),
        band=np.zeros(n, dtype=np.uint8),
        version=np.zeros(n, dtype=np.uint32),
        counted=np.ones(n, dtype=np.bool_),
        fold=np.full(n, FOLD_VERSION, dtype=np.uint8),
        distance=np.full(n, np.nan, dtype=np.float32),
        margin=np.full(n, np.nan, dtype=np.float32),
        confidence=np.full(n, np.nan, dtype=np.float32),
        used=np.zeros(n, dtype=np.int64),
        dirty=np.zeros(n, dtype=np.bool_),
    )


class BuyerCache:
    """Buyers by Kafka key. Slots are stable until `evict` or `drop`; look them up anew for every batch."""

    def __init__(self, max_bytes: int, slack: int) -> None:
        """slack: how many buyers may come on top before there is time to evict."""
        self.capacity = max(max_bytes // (BYTES_PER_STATE + _KEY_BYTES), 1)
        self.table: StateTable[bytes] = StateTable(self.capacity + slack)
        self.meta = _meta(self.capacity + slack)
        self.keys: list[bytes] = [b""] * (self.capacity + slack)

    @property
    def used_bytes(self) -> int:
        """Bytes of the buyers held now."""
        return len(self.table) * (BYTES_PER_STATE + _KEY_BYTES)

    def add(self, key: bytes, partition: int) -> int:
        """Give a buyer who is not in the cache an empty slot."""
        slot = self.table.add(key)
        if slot >= len(self.keys):
            grown = len(self.table.states.counters) - len(self.keys)
            both = zip(self.meta, _meta(grown), strict=True)
            self.meta = Meta(*(np.concatenate([old, new]) for old, new in both))
            self.keys += [b""] * grown
        self.keys[slot] = key
        self.meta.partition[slot] = partition
        self._nothing_known(slot)
        return slot

    def reset(self, slot: int) -> None:
        """Empty a slot that stays with its key: what was read of the buyer is void."""
        for array in self.table.states:
            array[slot] = 0
        self._nothing_known(slot)

    def _nothing_known(self, slot: int) -> None:
        m = self.meta
        m.since_offset[slot], m.last_offset[slot] = -1, -1
        m.code[slot], m.type[slot], m.band[slot], m.version[slot] = _NOTHING_SAID
        m.distance[slot], m.counted[slot] = np.nan, True
        m.dirty[slot], m.fold[slot] = False, FOLD_VERSION

    def fill(self, slots: Sequence[int], rows: Sequence[bytes]) -> None:
        """Write stored rows into empty slots.

        Raises:
            RowVersionError: a row is of a version that this release does not read, or damaged.
        """
        m = self.meta
        states = []
        for slot, row in zip(slots, rows, strict=True):
            header, state = unpack_row(row)
            m.since_offset[slot], m.last_offset[slot] = header.since_offset, header.last_offset
            m.code[slot], m.type[slot] = header.code, header.type
            m.band[slot], m.version[slot], m.counted[slot] = header.band, header.version, header.counted
            m.fold[slot] = header.fold
            states.append(state)
        unpack_states(self.table.states, np.asarray(slots, dtype=np.int64), states)

    def rows(self, slots: NDArray[np.int64]) -> dict[bytes, bytes]:
        """The slots' rows as the store keeps them, by key."""
        m = self.meta
        said = zip(
            m.since_offset[slots].tolist(),
            m.last_offset[slots].tolist(),
            m.code[slots].tolist(),
            m.type[slots].tolist(),
            m.band[slots].tolist(),
            m.version[slots].tolist(),
            m.counted[slots].tolist(),
            m.fold[slots].tolist(),
            strict=True,
        )
        packed = pack_states(self.table.states, slots)
        return {
            self.keys[slot]: pack_row(RowHeader(*header), state)
            for slot, header, state in zip(slots.tolist(), said, packed, strict=True)
        }

    def dirty(self, partition: int) -> NDArray[np.int64]:
        """Slots of a partition whose rows the store does not have yet."""
        return np.flatnonzero(self.meta.dirty & (self.meta.partition == partition))

    def dirty_count(self) -> int:
        """How many rows the next checkpoints have to write."""
        return int(np.count_nonzero(self.meta.dirty))

    def drop(self, partition: int) -> None:
        """Forget a partition's buyers, written or not: the store is the truth."""
        self._remove(np.flatnonzero(self.meta.partition == partition))

    def remove(self, keys: Sequence[bytes]) -> None:
        """Forget those of these buyers who are here."""
        here = [self.table.slots[key] for key in keys if key in self.table.slots]
        self._remove(np.array(here, dtype=np.int64))

    def evict(self) -> int:
        """Make room if the cache is over its bound: forget the clean buyers not seen for longest."""
        if len(self.table) <= self.capacity:
            return 0
        clean = np.flatnonzero((self.meta.partition >= 0) & ~self.meta.dirty)
        wanted = len(self.table) - int(self.capacity * (1 - _EVICT_SHARE))
        oldest = clean[np.argsort(self.meta.used[clean], kind="stable")[:wanted]]
        self._remove(oldest)
        return len(oldest)

    def _remove(self, slots: NDArray[np.int64]) -> None:
        self.table.remove([self.keys[slot] for slot in slots.tolist()])
        self.meta.partition[slots] = -1
        self.meta.dirty[slots] = False
