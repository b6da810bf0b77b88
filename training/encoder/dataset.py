"""Events -> training rows, by the one fold, with prefix augmentation and a split by buyer."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.behavior import empty_states
from feature_store.fold.products import Products
from feature_store.fold.vector import SCALARS, VECTOR_SIZE
from feature_store.fold.vectors import fold_numbered, fold_to
from feature_store.history.archive import is_archive
from feature_store.history.offline_fold import BuyerKey
from feature_store.history.shards import Group, groups, shard_events
from feature_store.sources.files.folders import files_of

_NAMES = [scalar.name for scalar in SCALARS]
EVENTS_COLUMN = _NAMES.index("events")
SESSIONS_COLUMN = _NAMES.index("sessions")


class BuyerVectors(NamedTuple):
    """Training rows of buyers; no two rows are of one buyer after the same number of events.

    vectors float32 [n, W], raw; column EVENTS_COLUMN: the number of events before the row was taken.
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
        """Rows int64 [m], one per buyer who came so far, as they looked after exactly so many events.

        Complete only for counts that were among the prefixes. Unlike `~whole`, it holds buyers whose
        history is just that long, so it is an unbiased sample of what live traffic shows.
        """
        return np.flatnonzero(self.vectors[:, EVENTS_COLUMN] == events)


def describe_source(path: Path, events: int) -> str:
    """What a manifest says of files or an archive folder: name, events read, SHA-256 of the file(s).

    Raises:
        EventSourceError: there is no file.
    """
    parts = sorted(path.rglob("*.parquet")) if is_archive(path) else files_of(path).paths
    hashes = [_sha256(part) for part in parts]
    whole = hashes[0] if path.is_file() else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return f"{path.name}, {events} events, sha256 {whole}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def training_rows(
    batches: Iterable[Sequence[Event]], prefixes: Sequence[int], work: Path | None = None
) -> BuyerVectors:
    """Fold a history, given in arrival order, into training rows.

    A buyer of e events gives one row for all of them, one for each prefix p < e (how they looked after p
    events, so that the early states which live traffic is full of are in distribution) and one for the
    end of each session in which such a prefix lies.

    With `work`, an empty folder, only the buyers' names and three numbers per row stay in memory: events are
    split in that folder (feature_store.history.shards), and the vectors are a file there, mapped into
    memory. The folder must stay as long as the result is used. Without it, everything is held in memory.

    Raises:
        OSError: `work` cannot be written.
    """
    shards = shard_events(batches, work and work / "shards")
    with closing(_Rows(work and work / "rows", shards.count_buyers(), prefixes)) as rows:
        for shard in shards:
            for group in groups(shard):
                rows.add(group, shard.products)
    return rows.result()


class _Chosen(NamedTuple):
    """The events of a group after which a row is taken: places int64 [k] among its events; last bool [k],
    True for a buyer's last; session_end int64 [k], which of the k is the end of the session."""

    places: NDArray[np.int64]
    last: NDArray[np.bool_]
    session_end: NDArray[np.int64]


def _choose(group: Group, products: Products, prefixes: NDArray[np.int64]) -> _Chosen:
    numbers = fold_numbered(empty_states(len(group.buyers)), group.slots, group.events, products)
    counted = np.flatnonzero(numbers.events)  # duplicates count for nothing
    events, session, slot = numbers.events[counted], numbers.sessions[counted], group.slots[counted]
    last = np.append(slot[1:] != slot[:-1], True)
    over = last | np.append(session[1:] != session[:-1], True)
    visit = np.cumsum(over) - over  # sessions of all buyers, numbered through
    prefix = np.isin(events, prefixes)
    awaited = np.isin(visit, visit[prefix])
    kept = last | prefix | (over & awaited)
    end_of_visit = (np.cumsum(kept) - 1)[over]
    return _Chosen(counted[kept], last[kept], end_of_visit[visit[kept]])


class _Rows:
    """Training rows in the making: the whole histories first, the earlier rows after them."""

    def __init__(self, path: Path | None, buyers: int, prefixes: Sequence[int]) -> None:
        self._path = path
        self._file: BinaryIO = io.BytesIO() if path is None else path.open("w+b")
        self._prefixes = np.unique(np.asarray(prefixes, dtype=np.int64))
        self._buyers: list[BuyerKey] = []
        self._next = buyers  # the row where the next earlier one goes
        self._buyer = [np.arange(buyers)]
        self._session_end = [np.arange(buyers)]

    def add(self, group: Group, products: Products) -> None:
        """Take the rows of some buyers."""
        chosen = _choose(group, products, self._prefixes)
        states = empty_states(len(group.buyers))
        vectors = fold_to(states, group.slots, group.events, products, chosen.places)
        first, earlier = len(self._buyers), ~chosen.last
        row = np.empty(len(vectors), dtype=np.int64)
        row[chosen.last] = np.arange(first, first + len(group.buyers))
        row[earlier] = np.arange(self._next, self._next + earlier.sum())
        self._write(first, vectors[chosen.last])
        self._write(self._next, vectors[earlier])
        self._buyer.append(first + group.slots[chosen.places[earlier]])
        self._session_end.append(row[chosen.session_end[earlier]])
        self._buyers += group.buyers
        self._next += int(earlier.sum())

    def _write(self, row: int, vectors: NDArray[np.float32]) -> None:
        self._file.seek(row * VECTOR_SIZE * vectors.itemsize)
        self._file.write(vectors.tobytes())

    def close(self) -> None:
        """Everything is written. What is held in memory stays."""
        if self._path is not None:
            self._file.close()

    def result(self) -> BuyerVectors:
        return BuyerVectors(
            buyers=self._buyers,
            vectors=self._vectors() if self._buyers else np.empty((0, VECTOR_SIZE), np.float32),
            buyer=np.concatenate(self._buyer),
            whole=np.arange(self._next) < len(self._buyers),
            session_end=np.concatenate(self._session_end),
        )

    def _vectors(self) -> NDArray[np.float32]:
        if isinstance(self._file, io.BytesIO):
            flat = np.frombuffer(self._file.getbuffer(), dtype=np.float32)
        else:
            assert self._path is not None
            # Copy-on-write: torch wants arrays that can be written, and the file must stay as it is.
            flat = np.asarray(np.memmap(self._path, dtype=np.float32, mode="c"))
        return flat.reshape(-1, VECTOR_SIZE)


def split_by_buyer(
    data: BuyerVectors, validation_share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows to validate on (int64 each); all rows of a buyer fall on one side."""
    order = np.random.default_rng(seed).permutation(len(data.buyers))
    held_out = np.zeros(len(data.buyers), dtype=np.bool_)
    held_out[order[: max(1, round(validation_share * len(order)))]] = True
    side = held_out[data.buyer]
    return np.flatnonzero(~side), np.flatnonzero(side)
