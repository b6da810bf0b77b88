"""Counting: batches of folded and encoded events -> profiles. The result does not depend on the batches.

A buyer has one vote per window: their state after their last event in that window of event time. A later
event of the same window takes the earlier vote back and casts a new one (docs/adr/0019). The earlier vote is
known from the buyer's row (state, code, type, band). Distance and margin are stored nowhere, so they are
counted once per buyer and window, at the first event.

A window closes when the partition's watermark is past its end by the allowed lateness. Events that come
after that are counted as late, in the window of the watermark, and cast no vote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import EVENT_TYPES
from feature_store.fold.behavior import COUNTER, SESSION_GAP_MS, StateArrays
from feature_store.fold.kernel import kernel
from feature_store.fold.vector import N_SCALARS, SCALARS
from feature_store.fold.vectors import Steps, scalars
from feature_store.online.changes import Sent
from inference.counts.profile import (
    AGE_EDGES_MS,
    BINS,
    BUYER_CELLS,
    CELLS,
    FEATURE,
    LATENT_EDGES,
    MAX_TYPES,
    SCALAR_EDGES,
    TALLY,
    YOUNG,
    YOUNG_BELOW,
)
from inference.encoders.encoder import Encoding

_LAST: Final = COUNTER["last_time"]
_CODES: Final = FEATURE["codes"].cells.start
_TYPES: Final = FEATURE["types"].cells.start
_BANDS: Final = FEATURE["confidence"].cells.start
_DISTANCE: Final = FEATURE["distance"].cells.start
_MARGIN: Final = FEATURE["margin"].cells.start
_SCALARS: Final = FEATURE["events"].cells.start
_EVENTS: Final = [scalar.name for scalar in SCALARS].index("events")
_MIX: Final = FEATURE["event_mix"].cells.start
_AGE: Final = FEATURE["event_age"].cells.start
_KINDS: Final = len(EVENT_TYPES)
_SESSIONS: Final = TALLY["sessions"]
_NEW: Final = TALLY["new_buyers"]
_DUPLICATES: Final = TALLY["duplicates"]
_LATE: Final = TALLY["late"]
_AGES: Final[NDArray[np.int64]] = np.array(AGE_EDGES_MS, dtype=np.int64)
_VOTE: Final = 3 + N_SCALARS
_OLD: Final = -1
_NO_VOTE: Final = -1

Key = tuple[int, int, int]
"""(partition, store number, window number): the key of one row of counts."""


class BuyersBefore(NamedTuple):
    """The b buyers of a batch of n events, as they were before it."""

    place: NDArray[np.int64]
    """[n]: each event's buyer, as an index into the other fields."""
    last_time: NDArray[np.int64]
    """[b]: time of the last event, ms."""
    voted: NDArray[np.bool_]
    """[b]: whether the buyer's state was counted."""
    code: NDArray[np.int64]
    """[b]: the counted code; type, band and scalars are counted with it."""
    type: NDArray[np.int64]
    """[b]"""
    band: NDArray[np.int64]
    """[b]"""
    scalars: NDArray[np.float32]
    """[b, 16]"""


class Arrivals(NamedTuple):
    """The n events of a batch in arrival order: slot, time and created (ms), store number and partition
    int64 [n], type uint8 [n]."""

    slots: NDArray[np.int64]
    time: NDArray[np.int64]
    created: NDArray[np.int64]
    type: NDArray[np.uint8]
    store: NDArray[np.int64]
    partition: NDArray[np.int64]


class WindowRule(NamedTuple):
    """How event time is cut into windows: the length of a window and the allowed lateness, ms."""

    length_ms: int
    lateness_ms: int


def buyers_before(
    states: StateArrays,
    slots: NDArray[np.int64],
    assigned: Callable[[NDArray[np.int64]], Sequence[NDArray[Any]]],
) -> BuyersBefore:
    """Copy what is known of a batch's buyers (slots int64 [n]) before the batch is folded into their states.

    assigned: slots -> whether the buyer has an assignment of the current codebook version (bool), then its
    code, type and band.
    """
    buyers, place = group(slots)
    known, code, kind, band = assigned(buyers)
    return BuyersBefore(
        place,
        states.counters[buyers, _LAST],
        known & (code >= 0),
        code.astype(np.int64),
        kind.astype(np.int64),
        band.astype(np.int64),
        scalars(states, buyers),
    )


def group(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct values in order of first appearance, int64 [d], and each value's index in them, int64 [n].

    np.unique does the same but sorts, and its sort alone took as long as all the counting.
    """
    n = len(values)
    table = np.full(max(16, 1 << (2 * n - 1).bit_length()), -1, dtype=np.int64)
    distinct, place = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    return distinct[: _group(values, table, distinct, place)], place


@kernel
def _group(
    values: NDArray[np.int64],
    table: NDArray[np.int64],
    distinct: NDArray[np.int64],
    place: NDArray[np.int64],
) -> int:
    # Open addressing with Fibonacci hashing: Knuth, TAOCP 3, section 6.4.
    mask, count = len(table) - 1, 0
    for i in range(len(values)):
        value = values[i]
        at = ((value * 0x9E3779B97F4A7C1) >> 20) & mask
        while table[at] >= 0 and distinct[table[at]] != value:
            at = (at + 1) & mask
        if table[at] < 0:
            table[at] = count
            distinct[count] = value
            count += 1
        place[i] = table[at]
    return count


def watermarks(
    partition: NDArray[np.int64], time: NDArray[np.int64], start: Callable[[int], int]
) -> NDArray[np.int64]:
    """The watermark at each event: the highest event time of its partition so far, int64 [n], ms.

    start: partition -> its watermark before the batch.
    """
    distinct, place = group(partition)
    marks = np.array([start(number) for number in distinct.tolist()], dtype=np.int64)
    out = np.empty_like(time)
    _watermarks(place, time, marks, out)
    return out


@kernel
def _watermarks(
    place: NDArray[np.int64], time: NDArray[np.int64], marks: NDArray[np.int64], out: NDArray[np.int64]
) -> None:
    for i in range(len(place)):
        marks[place[i]] = max(marks[place[i]], time[i])
        out[i] = marks[place[i]]


def count(
    rows: Callable[[Sequence[Key]], tuple[NDArray[np.int32], NDArray[np.int64]]],
    rule: WindowRule,
    was: BuyersBefore,
    arrivals: Arrivals,
    watermark: NDArray[np.int64],
    steps: Steps,
    encoding: Encoding,
    sent: Sent,
) -> None:
    """Count a batch. Buyers vote for what is sent of them, int16 [k, 5] (feature_store.online.changes), and
    for the distance and margin of the encoding. `rows` maps keys to (matrix of counts int32 [?, CELLS], the
    keys' rows in it)."""
    n, length = len(arrivals.time), rule.length_ms
    first_open = (watermark - rule.lateness_ms) // length
    window = arrivals.time // length
    late = window < first_open
    window[late] = watermark[late] // length  # its own window is closed
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
        arrivals.created - arrivals.time,
    )
    _vote(
        counts,
        row[:n][steps.places],
        row[n:],
        vote_window,
        was.place[steps.places],
        was,
        np.where(was.voted, was.last_time // length, _NO_VOTE),
        steps,
        encoding,
        sent,
        np.empty((len(steps.places), _VOTE + 1), dtype=np.int64),
        np.full(len(was.code), -1, dtype=np.int64),
    )


def _rows(
    rows: Callable[[Sequence[Key]], tuple[NDArray[np.int32], NDArray[np.int64]]],
    partition: NDArray[np.int64],
    store: NDArray[np.int64],
    window: NDArray[np.int64],
    wanted: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The matrix of counts and each entry's row in it; -1 for entries that want none."""
    packed = (window << 32) | (partition << 16) | store
    keys, place = group(packed[wanted])
    # Keys are in order of arrival: where the number of rows is limited, the first stores get one.
    counts, found = rows([(key >> 16 & 0xFFFF, key & 0xFFFF, key >> 32) for key in keys.tolist()])
    out = np.full(len(window), -1, dtype=np.int64)
    out[wanted] = found[place]
    return counts, out


@kernel
def _tally(
    counts: NDArray[np.int32],
    rows: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    step_of: NDArray[np.int64],
    late: NDArray[np.bool_],
    age_ms: NDArray[np.int64],
) -> None:
    for i in range(len(rows)):
        row = counts[rows[i]]
        row[_LATE] += late[i]
        if step_of[i] < 0:
            row[_DUPLICATES] += 1
        else:
            if kinds[i] < _KINDS:  # a refund is none of the things that buyers do
                row[_MIX + kinds[i]] += 1
            row[_AGE + _bin(_AGES, age_ms[i])] += 1


@kernel
def _vote(
    counts: NDArray[np.int32],
    tally_rows: NDArray[np.int64],
    rows: NDArray[np.int64],
    windows: NDArray[np.int64],
    buyer: NDArray[np.int64],
    was: BuyersBefore,
    was_window: NDArray[np.int64],
    steps: Steps,
    encoding: Encoding,
    sent: Sent,
    votes: NDArray[np.int64],
    latest: NDArray[np.int64],
) -> None:
    earlier = np.empty(_VOTE + 1, dtype=np.int64)
    for i in range(len(windows)):
        b = buyer[i]
        j = latest[b]
        latest[b] = i
        _cells(votes[i], sent[i, 0], sent[i, 1], sent[i, 2], steps.vectors[i])
        last_time, window = was.last_time[b], was_window[b]
        if j >= 0:
            last_time, window = steps.last_time[j], windows[j]
        if steps.events[i] == 1:
            counts[tally_rows[i], _NEW] += 1
            counts[tally_rows[i], _SESSIONS] += 1
        elif steps.last_time[i] - last_time > SESSION_GAP_MS:
            counts[tally_rows[i], _SESSIONS] += 1
        if rows[i] < 0:
            continue
        row = counts[rows[i]]
        if window != windows[i]:
            for cell in (
                _DISTANCE + _bin(LATENT_EDGES, encoding.distance[i]),
                _MARGIN + _bin(LATENT_EDGES, encoding.margin[i]),
            ):
                _add(row, cell, votes[i, _VOTE], 1)
        else:  # take the earlier vote back
            if j >= 0:
                earlier[:] = votes[j]
            else:
                _cells(earlier, was.code[b], was.type[b], was.band[b], was.scalars[b])
            for c in range(_VOTE):
                _add(row, earlier[c], earlier[_VOTE], -1)
        for c in range(_VOTE):
            _add(row, votes[i, c], votes[i, _VOTE], 1)


@kernel
def _add(row: NDArray[np.int32], cell: int, young: int, votes: int) -> None:
    row[cell] += votes
    if young != _OLD:
        row[young + cell] += votes


@kernel
def _cells(vote: NDArray[np.int64], code: int, kind: int, band: int, values: NDArray[np.float32]) -> None:
    vote[0] = _CODES + max(code, 0)
    vote[1] = _TYPES + min(kind, MAX_TYPES - 1) + 1
    vote[2] = _BANDS + band
    for s in range(N_SCALARS):
        vote[3 + s] = _SCALARS + s * BINS + _bin(SCALAR_EDGES[s], values[s])
    vote[_VOTE] = _OLD
    for age in range(len(YOUNG_BELOW) - 1, -1, -1):
        if values[_EVENTS] < YOUNG_BELOW[age]:
            vote[_VOTE] = YOUNG + age * BUYER_CELLS


@kernel
def _bin(edges: NDArray[Any], value: float) -> int:
    number = 0
    while number < len(edges) and edges[number] <= value:
        number += 1
    return number


class ProfileTable:
    """Profiles by key: rows of one growing matrix. Rows are reused after `remove`."""

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
        """Remove a key and set its row to zero."""
        row = self.row.pop(key)
        self.counts[row] = 0
        self._free.append(row)

    def rows(self, keys: Sequence[Key]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The matrix, and the rows of these keys in it; new keys get new rows."""
        found = [self.row[key] if key in self.row else self.add(key) for key in keys]
        return self.counts, np.array(found, dtype=np.int64)
