"""State rows: one per buyer of the fold, its state byte for byte, its header as the log says."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from feature_store.errors import RowVersionError
from feature_store.fold.behavior import COUNTER, COUNTERS, empty_states
from feature_store.fold.state import FOLD_VERSION, as_fold_1, pack_states, unpack_states
from feature_store.online.encoding import RowHeader, is_of_an_earlier_release, pack_row, unpack_row
from feature_store.online.mending import Fix
from ops.verify.expected.fold import PartitionFold
from ops.verify.findings import Findings
from ops.verify.rows.headers import Headers

_ROWS_A_PIECE = 2_000


class States:
    """Compares a partition's state rows. versions: what their headers read, uint32 [slots], 0 for no row."""

    def __init__(
        self, fold: PartitionFold, headers: Headers, is_erased: Callable[[bytes], bool], found: Findings
    ) -> None:
        """is_erased: Kafka key -> whether the buyer was erased once."""
        self._is_erased = is_erased
        self._fold, self._headers, self._found = fold, headers, found
        n = len(fold.table.states.counters)
        self.versions = np.zeros(n, dtype=np.uint32)
        self._seen = np.zeros(n, dtype=np.bool_)

    def compare(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Compare all (key, row) of the partition."""
        self._found.report.buyers += len(self._fold.table)
        rest = iter(rows)
        while some := list(itertools.islice(rest, _ROWS_A_PIECE)):
            self._compare(some)
        for key in list(self._fold.judge.deferred):
            self._tell(key)
        slots = self._fold.table.slots
        missing = [(key, slot) for key, slot in slots.items() if not self._seen[slot]]
        states = self._packed([slot for _, slot in missing])
        for (key, slot), state in zip(missing, states, strict=True):
            self._note("missing", "state.row", key, slot, None, state)

    def _compare(self, rows: list[tuple[bytes, bytes]]) -> None:
        slots = self._fold.table.slots
        known = [(key, row, slots[key]) for key, row in rows if key in slots]
        for key, row in rows:
            if key not in slots:
                # Without an erasure, the log may have lost the history that the row is made of.
                fix = Fix(b"state:" + key, None, row, None) if self._is_erased(key) else None
                self._found.note("extra", "state.nobody", _place_of(row), fix)
        for (key, row, slot), state in zip(known, self._packed([s for _, _, s in known]), strict=True):
            self._seen[slot] = True
            self._judge(key, row, slot, state)

    def _judge(self, key: bytes, row: bytes, slot: int, wanted: bytes) -> None:
        present = wanted
        try:
            header, state = unpack_row(row)
        except RowVersionError:
            self._note("different", "state.row_version", key, slot, row, wanted)
            return
        self._found.report.earlier_rows += is_of_an_earlier_release(row)
        self.versions[slot] = header.version
        if header.fold < FOLD_VERSION:
            state, wanted = as_fold_1(state), as_fold_1(wanted)
            if key in self._fold.judge.doubtful and state != wanted:
                self._found.report.earlier_folds += 1
                self._fold.judge.deferred.pop(key, None)
                return
        self._tell(key)
        if state != wanted and _events(state) > _events(wanted):
            where = f"offset {self._fold.last[slot]}"
            self._found.note("different", f"state.{_first_unlike(state, wanted)}", where)
            return
        if state != wanted:
            self._note("different", f"state.{_first_unlike(state, wanted)}", key, slot, row, present)
            return
        wrong = self._headers.wrong(key, slot, header)
        if wrong:
            counter = "different" if "last_offset" in wrong else "headers"
            self._note(counter, f"state.{wrong[0]}", key, slot, row, present)

    def _tell(self, key: bytes) -> None:
        """Note what was found of a buyer's assignments and kept back until the row was read."""
        for counter, what, where in self._fold.judge.deferred.pop(key, ()):
            self._found.report.note(counter, what, where)

    def _note(self, counter: str, what: str, key: bytes, slot: int, seen: bytes | None, state: bytes) -> None:
        header = self._headers.wanted(key, slot)
        row = None if header is None else pack_row(header, state)
        fix = None if row is None else Fix(b"state:" + key, None, seen, row)
        self._found.note(counter, what, f"offset {self._fold.last[slot]}", fix)

    def _packed(self, slots: list[int]) -> list[bytes]:
        rows: NDArray[np.int64] = np.array(slots, dtype=np.int64)
        return pack_states(self._fold.table.states, rows)


def _events(state: bytes) -> int:
    """How many events a packed state holds; 0 for one that is cut short."""
    counters = np.frombuffer(state[: 8 * len(COUNTERS)].ljust(8 * len(COUNTERS), b"\0"), dtype="<i8")
    return int(counters[COUNTER["events"]])


def _first_unlike(state: bytes, wanted: bytes) -> str:
    """Where two packed states differ first: a counter's name, or an array's."""
    both = empty_states(2)
    try:
        unpack_states(both, np.arange(2), [state, wanted])
    except RowVersionError:
        return "length"
    counters = np.flatnonzero(both.counters[0] != both.counters[1]).tolist()
    if counters:
        return COUNTERS[counters[0]]
    differs = {
        "bitmaps": bool((both.bitmaps[0] != both.bitmaps[1]).any()),
        "ring": bool((both.ring[0] != both.ring[1]).any()),
        "latest": bool((both.latest[0] != both.latest[1]).any()),
        "sums": bool((both.sums[0] != both.sums[1]).any()),
    }
    return next((name for name, differ in differs.items() if differ), "memory")


def _place_of(row: bytes) -> str:
    try:
        header: RowHeader = unpack_row(row)[0]
    except RowVersionError:
        return "at an unknown offset"
    return f"offset {header.last_offset}"
