"""The offline fold of one partition.

The same kernel as the worker's over the same accepted records, but one ordered read from the log instead of
batches, caches, checkpoints and crashes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event, record_key
from feature_store.fold.behavior import COUNTER, columns
from feature_store.fold.orders import MORE, SEEN
from feature_store.fold.products import ProductTable
from feature_store.fold.table import StateTable
from feature_store.fold.vectors import fold_each
from ops.verify.expected.assigned import Assigned
from ops.verify.expected.calibrations import PartitionCalibrations
from ops.verify.expected.consents import PartitionConsents
from ops.verify.expected.counts import Recount
from ops.verify.expected.explained import Judge, Place
from ops.verify.expected.log import Batch, Record, Rules
from ops.verify.report import VerifyReport

_LAST_TIME: Final = COUNTER["last_time"]


class PartitionFold:
    """Folds a partition's log and holds its assignments against it. `add` batches in order."""

    def __init__(
        self,
        number: int,
        end: int,
        rules: Rules,
        assigned: Assigned,
        calibrations: PartitionCalibrations,
        consents: PartitionConsents,
        report: VerifyReport,
    ) -> None:
        """end: the store's next offset; records from there on wait and are not folded."""
        self.number, self.end = number, end
        self.table: StateTable[bytes] = StateTable()
        self.since = np.zeros(0, dtype=np.int64)
        self.last = np.zeros(0, dtype=np.int64)
        """Offsets of the first and the last event folded in, by slot; -1: from before the topic."""
        self.watermark = 0
        """Highest event time (ms) of what was folded."""
        self.waiting: dict[int, bytes] = {}
        """Offset -> Kafka key of accepted records that the store has not folded."""
        self._rules, self._assigned, self.report = rules, assigned, report
        self._products = ProductTable()
        self.calibrations, self.consents = calibrations, consents
        self.judge = Judge(number, rules, assigned, calibrations.in_force, report)
        self._borders = assigned.borders()
        self.recount: Recount | None = None
        if rules.windows is not None and rules.whole:
            length, late = rules.windows.length_ms, rules.allowed_lateness_ms
            self.recount = Recount(length, late, rules.erased_before.get(number, 0), self.table)

    # ---- feeding

    def add(self, batch: Batch) -> None:
        """Fold the next records of the log."""
        events: list[Event] = []
        keys: list[bytes] = []
        offsets: list[int] = []
        created: list[int] = []
        for record in batch:
            if record.offset >= self.end:
                self.report.not_folded += 1
                if record.event is not None:
                    self.waiting[record.offset] = record_key(record.event.store, record.event.buyer)
                continue
            if self.recount is not None and record.lost:
                self.recount.lose(len(events), record.lost, record.offset)
            if record.calibration is not None:
                self.calibrations.add(record.offset, record.calibration)
                continue
            if record.event is None:
                self._take_no_event(record, len(events))
                continue
            key = record_key(record.event.store, record.event.buyer)
            if record.offset < self._rules.void_before(key):
                if self.recount is not None:
                    self.recount.leave_out(len(events), record.event)
                continue
            events.append(record.event)
            keys.append(key)
            offsets.append(record.offset)
            created.append(record.created)
        self._products.trim()
        place = Place(keys, self._slots(keys), np.array(offsets, np.int64))
        if self.recount is not None:
            self.recount.mark(np.array([event.timestamp for event in events], np.int64), self.watermark)
        for start, stop in self._pieces(place.offsets):
            piece = Place(keys[start:stop], place.slots[start:stop], place.offsets[start:stop])
            self._fold(start, events[start:stop], piece, np.array(created[start:stop], np.int64))

    def _take_no_event(self, record: Record, place: int) -> None:
        if record.request is not None and record.key is not None:
            self.consents.add(record.offset, record.key, record.request)
            return
        # Workers leave out all records of who has opted out, before they look whether it is an event.
        is_refused = not record.key or not self.consents.is_out(record.key, record.offset)
        if self.recount is not None and not record.lost and is_refused:
            self.recount.refuse(place, self._sole_version(record.offset))

    def _sole_version(self, offset: int) -> str | None:
        """The version that tagged an offset; None where it may have been one of several."""
        versions = self._assigned.in_force(offset)
        return next(iter(versions)) if len(versions) == 1 else None

    def _pieces(self, offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Parts of a batch inside of which the same versions are in force."""
        cuts = np.searchsorted(offsets, np.concatenate([[0], self._borders])).tolist()
        limits = sorted({0, *cuts, len(offsets)})
        yield from itertools.pairwise(limits)

    def _slots(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        known = self.table.slots
        slots = np.empty(len(keys), dtype=np.int64)
        for i, key in enumerate(keys):
            slot = known.get(key)
            slots[i] = self.table.add(key) if slot is None else slot
        rows = len(self.table.states.counters)
        more = np.full(max(0, rows - len(self.since)), -1, dtype=np.int64)
        self.since, self.last = np.concatenate([self.since, more]), np.concatenate([self.last, more])
        self.judge.grow(rows)
        return slots

    def _fold(self, start: int, events: Sequence[Event], place: Place, created: NDArray[np.int64]) -> None:
        table, states = columns(events, self._products), self.table.states
        is_live, piece = bool(place.offsets[0] >= 0), None
        if self.recount is not None and is_live:
            version = self._sole_version(int(place.offsets[0]))
            stores = [event.store for event in events]
            piece = self.recount.begin(start, place.slots, table, created, stores, version)
        lateness = self._rules.allowed_lateness_ms
        steps = fold_each(states, place.slots, table, self._products, allowed_lateness_ms=lateness)
        for i in np.flatnonzero((steps.outcomes == SEEN) | (steps.outcomes == MORE)).tolist():
            self.judge.doubtful.add(place.keys[i])
        if not is_live:  # as a backfill does: duplicates move no watermark
            self.watermark = max(self.watermark, int(states.counters[place.slots, _LAST_TIME].max()))
            return
        self.watermark = max(self.watermark, int(table.time.max()))
        slots, offsets = place.slots[steps.places], place.offsets[steps.places]
        self.last[slots] = offsets
        fresh = self.since[slots] < 0
        self.since[slots[fresh][::-1]] = offsets[fresh][::-1]
        votes = self.judge.judge(place, steps, slots, offsets)
        if self.recount is not None and piece is not None:
            self.recount.count(piece, steps, votes.get(piece.version or ""))

    # ---- what must be in the store

    @property
    def last_times(self) -> NDArray[np.int64]:
        """Time of the last event (ms), int64 [slots]."""
        return self.table.states.counters[:, _LAST_TIME]
