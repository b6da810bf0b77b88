"""Counting: batches of folded and encoded events -> profiles, exactly, whatever the batches are.

One buyer, one vote a window: a vote is the buyer's state after their last event in a window of their own
event time. When a later event of the same window comes, the earlier vote is taken back and the new one
is cast, so a profile is a function of the log alone: any split into batches, any restart, any order
of merging gives the same integers. What a vote said before is known from the buyer's row (state, code,
type, band); distance and margin are kept nowhere, so they are those of the buyer's first event in the
window, also once a buyer.

A window closes when the partition's watermark is past its end by the allowed lateness. Events that
come later still are counted late in the window of the watermark and cast no vote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.behavior import COUNTER, SESSION_GAP_MS, StateArrays
from feature_store.describe import Steps, scalars
from feature_store.kernel import kernel
from feature_store.vector import N_SCALARS
from inference.encoder import Encoding
from inference.profile import (
    AGE_EDGES_MS,
    BINS,
    CELLS,
    FEATURE,
    LATENT_EDGES,
    MAX_TYPES,
    SCALAR_EDGES,
    TALLY,
)

_EVENTS: Final = COUNTER["events"]
_LAST: Final = COUNTER["last_time"]
_CODES: Final = FEATURE["codes"].cells.start
_TYPES: Final = FEATURE["types"].cells.start
_BANDS: Final = FEATURE["confidence"].cells.start
_DISTANCE: Final = FEATURE["distance"].cells.start
_MARGIN: Final = FEATURE["margin"].cells.start
_SCALARS: Final = FEATURE["events"].cells.start
_MIX: Final = FEATURE["event_mix"].cells.start
_AGE: Final = FEATURE["event_age"].cells.start
_SESSIONS: Final = TALLY["sessions"]
_NEW: Final = TALLY["new_buyers"]
_DUPLICATES: Final = TALLY["duplicates"]
_LATE: Final = TALLY["late"]
_AGES: Final[NDArray[np.int64]] = np.array(AGE_EDGES_MS, dtype=np.int64)
_VOTE: Final = 3 + N_SCALARS
_NO_VOTE: Final = -1

Key = tuple[int, int, int]
"""(partition, store number, window number): what one row of counts is about."""


class Before(NamedTuple):
    """The buyers of a batch as they were before it, one entry a buyer.

    slots int64 [b], ascending; last_time int64 [b] (ms), events int64 [b]; voted bool [b], whether their
    state was counted; code, type and band int64 [b], scalars float32 [b, 16]: what was counted.
    """

    slots: NDArray[np.int64]
    last_time: NDArray[np.int64]
    events: NDArray[np.int64]
    voted: NDArray[np.bool_]
    code: NDArray[np.int64]
    type: NDArray[np.int64]
    band: NDArray[np.int64]
    scalars: NDArray[np.float32]


class Arrivals(NamedTuple):
    """The events of a batch in arrival order, one entry each: slot, time and created (ms), store number
    and partition int64 [n], type uint8 [n]."""

    slots: NDArray[np.int64]
    time: NDArray[np.int64]
    created: NDArray[np.int64]
    type: NDArray[np.uint8]
    store: NDArray[np.int64]
    partition: NDArray[np.int64]


class Windows(NamedTuple):
    """How event time is cut: length of a window and allowed lateness, ms."""

    length_ms: int
    lateness_ms: int


def before(
    states: StateArrays,
    slots: NDArray[np.int64],
    said: NDArray[np.bool_],
    code: NDArray[np.integer],
    type_: NDArray[np.integer],
    band: NDArray[np.integer],
) -> Before:
    """Note the buyers in `slots` (int64 [b], ascending) before a batch is folded into them.

    said: whether code, type and band were said, under the version that counts now.
    """
    counters = states.counters[slots]
    return Before(
        slots,
        counters[:, _LAST],
        counters[:, _EVENTS],
        said & (code >= 0),
        code.astype(np.int64),
        type_.astype(np.int64),
        band.astype(np.int64),
        scalars(states, slots),
    )


def watermarks(
    partition: NDArray[np.int64], time: NDArray[np.int64], start: Callable[[int], int]
) -> NDArray[np.int64]:
    """Highest event time of an event's partition up to and with it, int64 [n]; `start` knows the earlier."""
    out = np.empty_like(time)
    for number in np.unique(partition).tolist():
        mine = partition == number
        out[mine] = np.maximum(np.maximum.accumulate(time[mine]), start(number))
    return out


def count(
    rows: Callable[[Sequence[Key]], tuple[NDArray[np.int32], NDArray[np.int64]]],
    windows: Windows,
    was: Before,
    arrivals: Arrivals,
    watermark: NDArray[np.int64],
    steps: Steps,
    encoding: Encoding,
    bands: NDArray[np.uint8],
) -> None:
    """Count a batch. `rows` maps keys to (matrix of counts int32 [?, CELLS], the keys' rows in it)."""
    n, length = len(arrivals.time), windows.length_ms
    first_open = (watermark - windows.lateness_ms) // length
    window = arrivals.time // length
    late = window < first_open
    window[late] = watermark[late] // length  # what came too late is told of now
    vote_window = steps.last_time // length
    is_open = vote_window >= first_open[steps.places]
    every = np.concatenate([window, vote_window])
    who = np.concatenate([arrivals.partition, arrivals.partition[steps.places]])
    store = np.concatenate([arrivals.store, arrivals.store[steps.places]])
    counts, row = _rows(rows, who, store, every, np.concatenate([np.ones(n, np.bool_), is_open]))
    step_of = np.full(n, -1, dtype=np.int64)
    step_of[steps.places] = np.arange(len(steps.places))
    _tally(
        counts,
        row[:n],
        arrivals.type,
        step_of,
        late,
        np.searchsorted(_AGES, arrivals.created - arrivals.time, side="right"),
    )
    _vote(
        counts,
        row[:n][steps.places],
        row[n:],
        vote_window,
        np.searchsorted(was.slots, arrivals.slots[steps.places]),
        was,
        np.where(was.voted, was.last_time // length, _NO_VOTE),
        steps,
        encoding,
        bands,
        np.empty((len(steps.places) + len(was.slots), _VOTE), dtype=np.int64),
        np.full(len(was.slots), -1, dtype=np.int64),
    )


def _rows(
    rows: Callable[[Sequence[Key]], tuple[NDArray[np.int32], NDArray[np.int64]]],
    partition: NDArray[np.int64],
    store: NDArray[np.int64],
    window: NDArray[np.int64],
    wanted: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The matrix of counts and each entry's row in it, -1 where none is wanted."""
    packed = (window << 32) | (partition << 16) | store
    keys, first, inverse = np.unique(packed[wanted], return_index=True, return_inverse=True)
    arrival = np.argsort(first, kind="stable")  # who comes first gets the last row where rows are bounded
    asked = [
        (key >> 16 & 0xFFFF, key & 0xFFFF, key >> 32) for key in keys[arrival].tolist()
    ]  # (partition, store, window)
    counts, found = rows(asked)
    of_key = np.empty(len(keys), dtype=np.int64)
    of_key[arrival] = found
    out = np.full(len(window), -1, dtype=np.int64)
    out[wanted] = of_key[inverse]
    return counts, out


@kernel
def _tally(
    counts: NDArray[np.int32],
    rows: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    step_of: NDArray[np.int64],
    late: NDArray[np.bool_],
    age: NDArray[np.int64],
) -> None:
    for i in range(len(rows)):
        row = counts[rows[i]]
        row[_LATE] += late[i]
        if step_of[i] < 0:
            row[_DUPLICATES] += 1
        else:
            row[_MIX + kinds[i]] += 1
            row[_AGE + age[i]] += 1


@kernel
def _vote(
    counts: NDArray[np.int32],
    tally_rows: NDArray[np.int64],
    rows: NDArray[np.int64],
    windows: NDArray[np.int64],
    buyer: NDArray[np.int64],
    was: Before,
    was_window: NDArray[np.int64],
    steps: Steps,
    encoding: Encoding,
    bands: NDArray[np.uint8],
    votes: NDArray[np.int64],
    latest: NDArray[np.int64],
) -> None:
    n = len(windows)
    for b in range(len(was_window)):  # the votes before the batch stand behind those of the batch
        _cells(votes[n + b], was.code[b], was.type[b], was.band[b], was.scalars[b])
    for i in range(n):
        b = buyer[i]
        j = latest[b]
        latest[b] = i
        _cells(votes[i], encoding.code[i], encoding.type[i], bands[i], steps.vectors[i])
        if j >= 0:
            last_time, window = steps.last_time[j], windows[j]
        else:
            j, last_time, window = n + b, was.last_time[b], was_window[b]
        if steps.events[i] == 1:
            counts[tally_rows[i], _NEW] += 1
            counts[tally_rows[i], _SESSIONS] += 1
        elif steps.last_time[i] - last_time > SESSION_GAP_MS:
            counts[tally_rows[i], _SESSIONS] += 1
        if rows[i] < 0:
            continue
        row = counts[rows[i]]
        if window == windows[i]:
            for c in range(_VOTE):
                row[votes[j, c]] -= 1
        else:
            row[_DISTANCE + _bin(LATENT_EDGES, encoding.distance[i])] += 1
            row[_MARGIN + _bin(LATENT_EDGES, encoding.margin[i])] += 1
        for c in range(_VOTE):
            row[votes[i, c]] += 1


@kernel
def _cells(vote: NDArray[np.int64], code: int, kind: int, band: int, values: NDArray[np.float32]) -> None:
    vote[0] = _CODES + max(code, 0)
    vote[1] = _TYPES + min(kind, MAX_TYPES - 1) + 1
    vote[2] = _BANDS + band
    for s in range(N_SCALARS):
        vote[3 + s] = _SCALARS + s * BINS + _bin(SCALAR_EDGES[s], values[s])


@kernel
def _bin(edges: NDArray[np.float32], value: float) -> int:
    number = 0
    while number < len(edges) and edges[number] <= value:
        number += 1
    return number


class ProfileTable:
    """Rows of counts by key, in one growing matrix. Rows are reused after `remove`."""

    def __init__(self) -> None:
        self.row: dict[Key, int] = {}
        self.counts = np.zeros((64, CELLS), dtype=np.int32)
        self._free = list(range(63, -1, -1))

    def add(self, key: Key) -> int:
        """Give a new key a row of zeros."""
        if not self._free:
            rows = len(self.counts)
            self.counts = np.concatenate([self.counts, np.zeros_like(self.counts)])
            self._free = list(range(2 * rows - 1, rows - 1, -1))
        self.row[key] = self._free.pop()
        return self.row[key]

    def remove(self, key: Key) -> None:
        """Forget a key and empty its row."""
        row = self.row.pop(key)
        self.counts[row] = 0
        self._free.append(row)

    def rows(self, keys: Sequence[Key]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The counts, and the rows of these keys in them; new keys get new rows."""
        found = [self.row[key] if key in self.row else self.add(key) for key in keys]
        return self.counts, np.array(found, dtype=np.int64)
