"""The write-back cache: buyers' states in memory, bounded in bytes, in front of the online store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.behavior import COUNTER, StateArrays
from feature_store.fold.state import FOLD_VERSION, pack_states, unpack_states
from feature_store.fold.table import BYTES_PER_STATE, StateTable
from feature_store.online.changes import NOTHING_SENT, SENT, Changes, Sent, as_sent, changes
from feature_store.online.encoding import RowHeader, pack_row, unpack_row
from inference.encoders.encoder import Encoding

_EVICT_SHARE: Final = 0.25  # evicting a quarter at once keeps the search for victims rare
_KEY_BYTES: Final = 300  # a dict entry, the key and its list slot, generously
_EVENTS: Final = COUNTER["events"]
_LAST_TIME: Final = COUNTER["last_time"]
_LATE: Final = COUNTER["late"]


class _Meta(NamedTuple):
    """What is known of a slot beside its state; arrays of one length, named as in RowHeader.

    sent: int16 [n, 5], what was sent last (feature_store.online.changes). counted: the windows have counted
    it. code to forecast_probability are what was found last (distance NaN: nothing since the row was read).
    used is the number of the last batch that touched the slot; dirty says that the store lags behind.
    """

    partition: NDArray[np.int32]
    since_offset: NDArray[np.int64]
    last_offset: NDArray[np.int64]
    sent: Sent
    version: NDArray[np.uint32]
    counted: NDArray[np.bool_]
    fold: NDArray[np.uint8]
    code: NDArray[np.int16]
    distance: NDArray[np.float32]
    margin: NDArray[np.float32]
    type: NDArray[np.int8]
    confidence: NDArray[np.float32]
    forecast: NDArray[np.int8]
    forecast_probability: NDArray[np.float32]
    used: NDArray[np.int64]
    dirty: NDArray[np.bool_]


def _meta(n: int) -> _Meta:
    return _Meta(
        partition=np.full(n, -1, dtype=np.int32),
        since_offset=np.full(n, -1, dtype=np.int64),
        last_offset=np.full(n, -1, dtype=np.int64),
        sent=np.tile(np.array(NOTHING_SENT, np.int16), (n, 1)),
        version=np.zeros(n, dtype=np.uint32),
        counted=np.ones(n, dtype=np.bool_),
        fold=np.full(n, FOLD_VERSION, dtype=np.uint8),
        code=np.full(n, -1, dtype=np.int16),
        distance=np.full(n, np.nan, dtype=np.float32),
        margin=np.full(n, np.nan, dtype=np.float32),
        type=np.full(n, -1, dtype=np.int8),
        confidence=np.full(n, np.nan, dtype=np.float32),
        forecast=np.full(n, -1, dtype=np.int8),
        forecast_probability=np.full(n, np.nan, dtype=np.float32),
        used=np.zeros(n, dtype=np.int64),
        dirty=np.zeros(n, dtype=np.bool_),
    )


class BuyerCache:
    """Buyers by Kafka key. Slots are stable until `evict` or `drop`; look them up anew for every batch."""

    def __init__(self, max_bytes: int, slack: int) -> None:
        """slack: how many buyers may come on top before there is time to evict."""
        self.capacity = max(max_bytes // (BYTES_PER_STATE + _KEY_BYTES), 1)
        self._table: StateTable[bytes] = StateTable(self.capacity + slack)
        self._meta = _meta(self.capacity + slack)
        self.keys: list[bytes] = [b""] * (self.capacity + slack)

    @property
    def used_bytes(self) -> int:
        """Bytes of the buyers held now."""
        return len(self._table) * (BYTES_PER_STATE + _KEY_BYTES) + self._table.page_bytes

    def add(self, key: bytes, partition: int) -> int:
        """Give a buyer who is not in the cache an empty slot."""
        slot = self._table.add(key)
        if slot >= len(self.keys):
            grown = len(self._table.states.counters) - len(self.keys)
            both = zip(self._meta, _meta(grown), strict=True)
            self._meta = _Meta(*(np.concatenate([old, new]) for old, new in both))
            self.keys += [b""] * grown
        self.keys[slot] = key
        self._meta.partition[slot] = partition
        self._nothing_known(slot)
        return slot

    def reset(self, slot: int) -> None:
        """Empty a slot that stays with its key: what was read of the buyer is void."""
        self._table.clear(np.array([slot], dtype=np.int64))
        self._nothing_known(slot)

    def _nothing_known(self, slot: int) -> None:
        m = self._meta
        m.since_offset[slot], m.last_offset[slot] = -1, -1
        m.sent[slot], m.version[slot] = NOTHING_SENT, 0
        m.distance[slot], m.counted[slot] = np.nan, True
        m.dirty[slot], m.fold[slot] = False, FOLD_VERSION

    def fill(self, slots: Sequence[int], rows: Sequence[bytes]) -> None:
        """Write stored rows into empty slots.

        Raises:
            RowVersionError: a row is of a version that this release does not read, or damaged.
        """
        m = self._meta
        states = []
        for slot, row in zip(slots, rows, strict=True):
            header, state = unpack_row(row)
            m.since_offset[slot], m.last_offset[slot] = header.since_offset, header.last_offset
            m.sent[slot] = [getattr(header, name) for name in SENT]
            m.version[slot], m.counted[slot], m.fold[slot] = header.version, header.counted, header.fold
            states.append(state)
        unpack_states(self._table.states, np.asarray(slots, dtype=np.int64), states)

    def rows(self, slots: NDArray[np.int64]) -> dict[bytes, bytes]:
        """The slots' rows as the store keeps them, by key."""
        m = self._meta
        code, kind, band, forecast, forecast_band = m.sent[slots].T.tolist()
        columns = (
            m.since_offset[slots].tolist(),
            m.last_offset[slots].tolist(),
            code,
            kind,
            band,
            m.version[slots].tolist(),
            m.counted[slots].tolist(),
            m.fold[slots].tolist(),
            forecast,
            forecast_band,
        )
        packed = pack_states(self._table.states, slots)
        return {
            self.keys[slot]: pack_row(RowHeader(*header), state)
            for slot, header, state in zip(slots.tolist(), zip(*columns, strict=True), packed, strict=True)
        }

    # ---- questions about slots, int64 [n]

    def __len__(self) -> int:
        return len(self._table)

    @property
    def is_full(self) -> bool:
        """Whether it is over its bound: time to evict."""
        return len(self._table) > self.capacity

    @property
    def slots(self) -> Mapping[bytes, int]:
        """Key -> slot, of the buyers held now; only to be read."""
        return self._table.slots

    @property
    def states(self) -> StateArrays:
        """The states by slot, for the fold and for the vectors that encoders see."""
        return self._table.states

    def slots_of(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Slots of buyers who are here, int64 [n]."""
        return np.array([self._table.slots[key] for key in keys], np.int64)

    def keys_of(self, slots: NDArray[np.int64]) -> list[bytes]:
        """The buyers' Kafka keys."""
        return [self.keys[slot] for slot in slots.tolist()]

    def partitions(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The buyers' partitions, int64 [n]."""
        return self._meta.partition[slots].astype(np.int64)

    def events(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many events are folded, int64 [n]."""
        events: NDArray[np.int64] = self._table.states.counters[slots, _EVENTS]
        return events

    def late_events(self, slots: NDArray[np.int64]) -> int:
        """How many events came too late, of these buyers together; no slot twice."""
        return int(self._table.states.counters[slots, _LATE].sum())

    def last_times(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Latest event times, ms, int64 [n]."""
        times: NDArray[np.int64] = self._table.states.counters[slots, _LAST_TIME]
        return times

    def last_offsets(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Offsets of the last events folded, int64 [n]."""
        return self._meta.last_offset[slots]

    def since_offset(self, slot: int) -> int:
        """Offset of the first event folded; -1 for none."""
        return int(self._meta.since_offset[slot])

    def sent(self, slots: NDArray[np.int64]) -> Sent:
        """What was sent last, int16 [n, 5]; NOTHING_SENT for nothing."""
        return self._meta.sent[slots]

    def last_encoding(self, slots: NDArray[np.int64]) -> Encoding:
        """What was found last, as copies; distance NaN where it was not asked since a row was read."""
        m = self._meta
        return Encoding(
            code=m.code[slots].astype(np.int64),
            distance=m.distance[slots],
            margin=m.margin[slots],
            type=m.type[slots].astype(np.int64),
            confidence=m.confidence[slots],
            forecast=m.forecast[slots].astype(np.int64),
            forecast_probability=m.forecast_probability[slots],
        )

    def is_assigned(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether any assignment was made, bool [n]."""
        is_assigned: NDArray[np.bool_] = self._meta.sent[slots, 0] >= 0
        return is_assigned

    def is_of(self, version: np.uint32, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the last assignment is of this codebook version (Champion.version), bool [n]."""
        is_of: NDArray[np.bool_] = self._meta.version[slots] == version
        return is_of

    def is_counted(self, version: np.uint32, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether windows have counted the last assignment, and under this codebook version, bool [n]."""
        return self.is_of(version, slots) & self._meta.counted[slots]

    # ---- what happened to slots

    def mark_used(self, slots: NDArray[np.int64], batch: int) -> None:
        """A batch touched these buyers: the longest untouched are evicted first."""
        self._meta.used[slots] = batch

    def mark_folded(self, slots: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
        """Events at these offsets, ascending, are folded; a slot may come several times."""
        m = self._meta
        m.last_offset[slots] = offsets  # of repeated slots the last one stays
        fresh = m.since_offset[slots] < 0
        m.since_offset[slots[fresh][::-1]] = offsets[fresh][::-1]
        m.dirty[slots] = True

    def assign(
        self,
        slots: NDArray[np.int64],
        encoding: Encoding,
        session_events: NDArray[np.int64],
        version: np.uint32,
    ) -> Changes:
        """What events in order lead to, one entry each (see changes); it is what was sent last now, and
        counted.

        version: of the codebook (Champion.version).
        """
        m = self._meta
        found = changes(slots, _as_sent(encoding), session_events, m.sent, m.version, version)
        self._found(slots, encoding, counted=True)
        return found

    def assign_anew(self, slots: NDArray[np.int64], encoding: Encoding, version: np.uint32) -> None:
        """All of this is sent, without an event: no window has counted it."""
        self._meta.sent[slots], self._meta.version[slots] = _as_sent(encoding), version
        self._found(slots, encoding, counted=False)

    def _found(self, slots: NDArray[np.int64], encoding: Encoding, *, counted: bool) -> None:
        m = self._meta  # of a slot that comes several times, the last entry stays
        for name, column in encoding._asdict().items():
            getattr(m, name)[slots] = column
        m.counted[slots], m.dirty[slots] = counted, True

    def mark_written(self, slots: NDArray[np.int64]) -> None:
        """The store has their rows."""
        self._meta.dirty[slots] = False

    # ---- rows that wait, and room

    def dirty(self, partition: int) -> NDArray[np.int64]:
        """Slots of a partition whose rows the store does not have yet."""
        return np.flatnonzero(self._meta.dirty & (self._meta.partition == partition))

    def dirty_count(self) -> int:
        """How many rows the next checkpoints have to write."""
        return int(np.count_nonzero(self._meta.dirty))

    def drop(self, partition: int) -> None:
        """Forget a partition's buyers, written or not: the store is the truth."""
        self._remove(np.flatnonzero(self._meta.partition == partition))

    def remove(self, keys: Sequence[bytes]) -> None:
        """Forget those of these buyers who are here."""
        here = [self._table.slots[key] for key in keys if key in self._table.slots]
        self._remove(np.array(here, dtype=np.int64))

    def evict(self) -> int:
        """Make room if the cache is over its bound: forget the clean buyers not seen for longest."""
        if len(self._table) <= self.capacity:
            return 0
        clean = np.flatnonzero((self._meta.partition >= 0) & ~self._meta.dirty)
        wanted = len(self._table) - int(self.capacity * (1 - _EVICT_SHARE))
        oldest = clean[np.argsort(self._meta.used[clean], kind="stable")[:wanted]]
        self._remove(oldest)
        return len(oldest)

    def _remove(self, slots: NDArray[np.int64]) -> None:
        self._table.remove([self.keys[slot] for slot in slots.tolist()])
        self._meta.partition[slots] = -1
        self._meta.dirty[slots] = False


def _as_sent(encoding: Encoding) -> Sent:
    code, _, _, kind, confidence, forecast, forecast_probability = encoding
    return as_sent(code, kind, confidence, forecast, forecast_probability)
