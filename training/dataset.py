"""Events -> training rows, by the one fold, with prefix augmentation and a split by buyer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.describe import vectors
from feature_store.events import Event
from feature_store.history import BuyerKey, History
from feature_store.vector import SCALARS, VECTOR_SIZE

_NAMES = [scalar.name for scalar in SCALARS]
EVENTS_COLUMN = _NAMES.index("events")
SESSIONS_COLUMN = _NAMES.index("sessions")


class BuyerVectors(NamedTuple):
    """Training rows of buyers; no two rows are of one buyer after the same number of events.

    vectors float32 [n, 403], raw; column EVENTS_COLUMN says after how many events a row was taken.
    buyer int64 [n]: a row's index into buyers.
    whole bool [n]: True for the row of a buyer's whole history. These rows come first and in the order of
    buyers, so `vectors[buyer]` is, row by row, how its history ended: what "later" means for a prefix.
    session_end int64 [n]: the row of the same buyer at the end of the session in which the row's last event
    lies; the row itself where it is that end. The last known session ends with the whole history. This is
    what a forecast from a row is held against, and what a type "at the end of the present session" means.
    """

    buyers: list[BuyerKey]
    vectors: NDArray[np.float32]
    buyer: NDArray[np.int64]
    whole: NDArray[np.bool_]
    session_end: NDArray[np.int64]

    def landmark(self, events: int) -> NDArray[np.int64]:
        """Rows int64 [m], one a buyer who came so far, as they looked after exactly so many events.

        Complete only for counts that were among the prefixes. Unlike `~whole`, it holds buyers whose
        history is just that long, so it is an unbiased sample of what live traffic shows.
        """
        return np.flatnonzero(self.vectors[:, EVENTS_COLUMN] == events)


def describe_source(path: Path, events: int) -> str:
    """What a manifest says of a file or archive folder: name, events read, SHA-256 of the file(s)."""
    parts = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    hashes = [_sha256(part) for part in parts]
    whole = hashes[0] if path.is_file() else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return f"{path.name}, {events} events, sha256 {whole}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def training_rows(batches: Iterable[Sequence[Event]], prefixes: Sequence[int]) -> BuyerVectors:
    """Fold a history, given in arrival order, into training rows.

    A buyer of e events gives one row for all of them, one for each prefix p < e (how they looked after p
    events, so that the early states which live traffic is full of are in distribution) and one for the
    end of each session in which such a prefix lies.
    """
    history = History()
    earlier = _Earlier(prefixes)
    for batch in batches:
        earlier.add(history, batch)
    whole = history.vectors() if history.buyers else np.empty((0, VECTOR_SIZE), np.float32)
    slots, rows = earlier.rows()
    position = np.empty(len(history.table.states.counters), dtype=np.int64)
    position[history.table.rows()] = np.arange(len(whole))
    early = position[slots]
    shorter = rows[:, EVENTS_COLUMN] < whole[early, EVENTS_COLUMN]
    buyer = np.concatenate([np.arange(len(whole)), early[shorter]]).astype(np.int64)
    everything = np.concatenate([whole, rows[shorter]])
    return BuyerVectors(
        buyers=history.buyers,
        vectors=everything,
        buyer=buyer,
        whole=np.arange(len(everything)) < len(whole),
        session_end=_last_of_session(buyer, everything),
    )


class _Earlier:
    """Rows of buyers before the end of their history, taken while a History folds it."""

    def __init__(self, prefixes: Sequence[int]) -> None:
        self._prefixes = np.unique(np.asarray(prefixes, dtype=np.float32))
        self._session = np.zeros(0)  # by slot: the session of the latest prefix row, 0 for none
        self._slots: list[NDArray[np.int64]] = []
        self._rows: list[NDArray[np.float32]] = []

    def add(self, history: History, batch: Sequence[Event]) -> None:
        """Fold a batch; keep the rows of it that are prefixes, and those at which a session was over."""
        table = history.table
        known = np.unique([table.slots.get((event.store, event.buyer), -1) for event in batch])
        known = known[known >= 0].astype(np.int64)
        before = vectors(table.states, known)
        steps = history.add_each(batch)
        stepped = [table.slots[batch[i].store, batch[i].buyer] for i in steps.places.tolist()]
        # In the order of time, buyer by buyer, each led by how they looked before this batch.
        slots = np.concatenate([known, np.array(stepped, dtype=np.int64)])
        order = np.argsort(slots, kind="stable")
        slots, rows = slots[order], np.concatenate([before, steps.vectors])[order]
        fresh = order >= len(known)

        sessions = rows[:, SESSIONS_COLUMN]
        prefix = fresh & np.isin(rows[:, EVENTS_COLUMN], self._prefixes)
        over = np.zeros(len(rows), dtype=np.bool_)
        over[:-1] = (slots[1:] == slots[:-1]) & (sessions[1:] > sessions[:-1])
        keys = slots << 32 | sessions.astype(np.int64)
        self._session.resize(len(table.states.counters), refcheck=False)
        awaited = np.isin(keys, keys[prefix]) | (sessions == self._session[slots])
        kept = prefix | (over & awaited & ~np.isin(rows[:, EVENTS_COLUMN], self._prefixes))
        np.maximum.at(self._session, slots[prefix], sessions[prefix])
        self._slots.append(slots[kept])
        self._rows.append(rows[kept])

    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Slots int64 [m] and rows float32 [m, 403] that were kept."""
        slots = [np.empty(0, np.int64), *self._slots]
        return np.concatenate(slots), np.concatenate([np.empty((0, VECTOR_SIZE), np.float32), *self._rows])


def _last_of_session(buyer: NDArray[np.int64], rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each row the latest row of the same buyer and session, int64 [n]."""
    order = np.lexsort((rows[:, EVENTS_COLUMN], rows[:, SESSIONS_COLUMN], buyer))
    keys = np.stack([buyer[order], rows[order, SESSIONS_COLUMN].astype(np.int64)])
    last = np.append((keys[:, 1:] != keys[:, :-1]).any(axis=0), True)[: len(order)]
    ends = order[last]
    group = np.cumsum(last) - last
    result = np.empty(len(order), dtype=np.int64)
    result[order] = ends[group]
    return result


def split_by_buyer(
    data: BuyerVectors, validation_share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows to validate on (int64 each); all rows of a buyer fall on one side."""
    order = np.random.default_rng(seed).permutation(len(data.buyers))
    held_out = np.zeros(len(data.buyers), dtype=np.bool_)
    held_out[order[: max(1, round(validation_share * len(order)))]] = True
    side = held_out[data.buyer]
    return np.flatnonzero(~side), np.flatnonzero(side)
