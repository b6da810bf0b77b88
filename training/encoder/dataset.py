"""Events -> training rows, by the one fold: states inside sessions and at their ends; a split by buyer."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import TYPE_CODE, Event
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
_COLUMNS: Final = 5  # of integers per row


POSITIONS: Final = (1, 2, 3, 5, 8, 10, 15, 20, 30)
"""A row is taken after so many events of a session: the early states that live traffic is full of."""
MAX_SESSIONS: Final = 8
"""The latest sessions of a buyer from which rows are taken: nobody fills the codebook alone."""


class BuyerVectors(NamedTuple):
    """Training rows of buyers: states inside sessions and at their ends; no two rows are of one buyer after
    the same number of events.

    vectors float32 [n, W], raw; column EVENTS_COLUMN: the number of events before the row was taken.
    buyer int64 [n]: a row's index into buyers.
    whole bool [n]: True for the row of a buyer's whole history. These rows come first and in the order of
    buyers, so `vectors[buyer]` is, row by row, how its history ended.
    session_end int64 [n]: the row of the same buyer at the end of the session in which the row's last event
    lies; the row itself where it is that end. The last known session ends with the whole history. This is
    what a forecast from a row is held against, and what a type "at the end of the present session" means.
    position int64 [n]: how many events of the session have been, where the row was taken for that; -1 for a
    row that is there only because the session ended. What comes later in the session may be learned and
    judged only where it is not -1: that a row is there must not tell how the session went on.
    time int64 [n], ms: the latest event time.
    next_session_end int64 [n]: the row at the end of the session after; -1 where no such session is known.
    """

    buyers: list[BuyerKey]
    vectors: NDArray[np.float32]
    buyer: NDArray[np.int64]
    whole: NDArray[np.bool_]
    session_end: NDArray[np.int64]
    position: NDArray[np.int64]
    time: NDArray[np.int64]
    next_session_end: NDArray[np.int64]

    def landmark(self, events: int) -> NDArray[np.int64]:
        """Rows int64 [m] of buyers in their first session, as they looked after exactly so many events.

        One per buyer who came so far, also where the session ends there: an unbiased sample of live traffic.
        `events` must be among the positions. Buyers of more than MAX_SESSIONS sessions are not in it.
        """
        return np.flatnonzero((self.position == events) & (self.vectors[:, EVENTS_COLUMN] == events))


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
    batches: Iterable[Sequence[Event]], *, positions: Sequence[int] = POSITIONS, work: Path | None = None
) -> BuyerVectors:
    """Fold a history, given in arrival order, into training rows.

    A buyer gives one row for the whole history and, for each of the latest MAX_SESSIONS sessions, one for
    each position that the session reached and one for its end. Without positions: whole histories alone.

    With `work`, an empty folder, only the buyers' names and some numbers per row stay in memory: events are
    split in that folder (feature_store.history.shards), and the vectors are a file there, mapped into
    memory. The folder must stay as long as the result is used. Without it, everything is held in memory.

    Raises:
        OSError: `work` cannot be written.
    """
    shards = shard_events(batches, work and work / "shards")
    with closing(_Rows(work and work / "rows", shards.count_buyers(), positions)) as rows:
        for shard in shards:
            for group in groups(shard):
                rows.add(group, shard.products)
    return rows.result()


class _Chosen(NamedTuple):
    """The events of a group after which a row is taken: places int64 [k] among its events; last bool [k],
    True for a buyer's last; position and time int64 [k]; session_end and next_session_end int64 [k], which
    of the k is that end (-1: none)."""

    places: NDArray[np.int64]
    last: NDArray[np.bool_]
    position: NDArray[np.int64]
    time: NDArray[np.int64]
    session_end: NDArray[np.int64]
    next_session_end: NDArray[np.int64]


def _choose(group: Group, products: Products, positions: NDArray[np.int64]) -> _Chosen:
    numbers = fold_numbered(empty_states(len(group.buyers)), group.slots, group.events, products)
    counted = np.flatnonzero(numbers.events)  # duplicates count for nothing
    session, slot = numbers.sessions[counted], group.slots[counted]
    last = np.append(slot[1:] != slot[:-1], True)
    over = last | np.append(session[1:] != session[:-1], True)
    visit = np.cumsum(over) - over  # sessions of all buyers, numbered through
    act = group.events.type[counted] != TYPE_CODE["refund"]
    acts = np.cumsum(act)
    before_visit = np.append(0, acts[over][:-1])
    position = np.where(act, acts - before_visit[visit], -1)
    sessions_after = session[last][np.cumsum(last) - last] - session
    recent = (sessions_after < MAX_SESSIONS) & bool(len(positions))
    at_position = recent & np.isin(position, positions)
    kept = last | at_position | (recent & over)
    end_of_visit = np.where(kept[over], (np.cumsum(kept) - 1)[over], -1)
    follows = np.where(last[over], -1, np.append(end_of_visit[1:], -1))
    return _Chosen(
        counted[kept],
        last[kept],
        np.where(at_position, position, -1)[kept],
        numbers.last_time[counted[kept]],
        end_of_visit[visit[kept]],
        follows[visit[kept]],
    )


class _Rows:
    """Training rows in the making: the whole histories first, the earlier rows after them."""

    def __init__(self, path: Path | None, buyers: int, positions: Sequence[int]) -> None:
        self._path = path
        self._file: BinaryIO = io.BytesIO() if path is None else path.open("w+b")
        self._positions = np.unique(np.asarray(positions, dtype=np.int64))
        self._buyers: list[BuyerKey] = []
        self._next = buyers  # the row where the next earlier one goes
        self._whole: list[NDArray[np.int64]] = [np.empty((0, _COLUMNS), np.int64)]
        self._earlier: list[NDArray[np.int64]] = [np.empty((0, _COLUMNS), np.int64)]

    def add(self, group: Group, products: Products) -> None:
        """Take the rows of some buyers."""
        chosen = _choose(group, products, self._positions)
        states = empty_states(len(group.buyers))
        vectors = fold_to(states, group.slots, group.events, products, chosen.places)
        first, earlier = len(self._buyers), ~chosen.last
        row = np.empty(len(vectors) + 1, dtype=np.int64)
        row[:-1][chosen.last] = np.arange(first, first + len(group.buyers))
        row[:-1][earlier] = np.arange(self._next, self._next + earlier.sum())
        row[-1] = -1
        self._write(first, vectors[chosen.last])
        self._write(self._next, vectors[earlier])
        columns = np.column_stack(
            [
                first + group.slots[chosen.places],
                row[chosen.session_end],
                chosen.position,
                chosen.time,
                row[chosen.next_session_end],
            ]
        )
        self._whole.append(columns[chosen.last])
        self._earlier.append(columns[earlier])
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
        columns = np.concatenate(self._whole + self._earlier)
        buyer, session_end, position, time, next_session_end = np.ascontiguousarray(columns.T)
        return BuyerVectors(
            buyers=self._buyers,
            vectors=self._vectors() if self._buyers else np.empty((0, VECTOR_SIZE), np.float32),
            buyer=buyer,
            whole=np.arange(self._next) < len(self._buyers),
            session_end=session_end,
            position=position,
            time=time,
            next_session_end=next_session_end,
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
