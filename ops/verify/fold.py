"""The offline fold of one partition, and with it what should have been assigned, event by event.

The same kernel as the worker's over the same accepted records, but one ordered read from the log instead of
batches, caches, checkpoints and crashes. Most events change nothing that is assigned: these are passed over
with arrays, and only the others are looked at one by one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event, record_key
from feature_store.fold.behavior import COUNTER, columns
from feature_store.fold.products import ProductTable
from feature_store.fold.table import StateTable
from feature_store.fold.vectors import Steps, fold_each
from feature_store.online.assignment import confidence_band, confidence_bands
from inference.encoders.encoder import Encoder, Encoding
from ops.verify.assigned import Assigned, Word
from ops.verify.log import Batch, Rules
from ops.verify.recount import Recount, Votes
from ops.verify.report import VerifyReport
from ops.verify.ties import Answer, is_tie, near, near_band, near_code, near_type

_LAST_TIME: Final = COUNTER["last_time"]
T = TypeVar("T", bound=np.generic)

_NOTHING: Final = -2
"""Stands for the code, type and band of a buyer that a version has not looked at."""


class Place(NamedTuple):
    """Accepted events of one batch under the same versions: Kafka keys, slots and offsets, one each."""

    keys: list[bytes]
    slots: NDArray[np.int64]
    offsets: NDArray[np.int64]


class _Answers:
    """What one encoder says of each buyer's present state, one row a slot; and what was assigned last."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.now = np.full((0, 3), _NOTHING, dtype=np.int16)
        """Code, type and band of the present state."""
        self.assigned = np.full((0, 3), _NOTHING, dtype=np.int16)
        """Code, type and band that were assigned last, or would have been."""
        self.is_near = np.zeros(0, dtype=np.bool_)
        self.figures = np.zeros((0, 3), dtype=np.float32)
        """Confidence, distance and margin of the present state."""

    def grow(self, rows: int) -> None:
        """Have room for so many slots."""
        more = rows - len(self.now)
        if more > 0:
            self.now = np.concatenate([self.now, np.full((more, 3), _NOTHING, np.int16)])
            self.assigned = np.concatenate([self.assigned, np.full((more, 3), _NOTHING, np.int16)])
            self.is_near = np.concatenate([self.is_near, np.zeros(more, np.bool_)])
            self.figures = np.concatenate([self.figures, np.zeros((more, 3), np.float32)])

    def type_of(self, index: int) -> str | None:
        """A type's name."""
        return self.encoder.types[index] if 0 <= index < len(self.encoder.types) else None

    def index_of(self, name: str | None) -> int:
        """A type's index; -1 for none, and for one that the bundle does not have."""
        return self.encoder.types.index(name) if name in self.encoder.types else -1


class PartitionFold:
    """Folds a partition's log and holds its assignments against it. `add` batches in order, then `finish`."""

    def __init__(self, number: int, end: int, rules: Rules, assigned: Assigned, report: VerifyReport) -> None:
        """end: the store's next offset; records from there on wait and are not folded."""
        self.number, self.end = number, end
        self.table: StateTable[bytes] = StateTable()
        self.since = np.zeros(0, dtype=np.int64)
        self.last = np.zeros(0, dtype=np.int64)
        """Offsets of the first and the last event folded in, by slot; -1: from before the topic."""
        self.watermark = self.void_watermark = 0
        """Highest event time (ms) of what was folded, and of what was erased as well."""
        self.waiting: dict[int, bytes] = {}
        """Offset -> Kafka key of accepted records that the store has not folded."""
        self._rules, self._assigned, self.report = rules, assigned, report
        self._products = ProductTable()
        spoke = assigned.versions
        if assigned.is_cut or not spoke:
            spoke.add(rules.champion)
        self.answers = {v: _Answers(encoder) for v, encoder in rules.encoders.items() if v in spoke}
        self._borders = assigned.borders()
        self._spoken = np.array(sorted(assigned.words), dtype=np.int64)
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
            if record.event is None:
                if self.recount is not None and not record.lost:
                    self.recount.refuse(len(events), self._sole_version(record.offset))
                continue
            key = record_key(record.event.store, record.event.buyer)
            if record.offset < self._rules.void_before(key):
                self.void_watermark = max(self.void_watermark, record.event.timestamp)
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

    def _sole_version(self, offset: int) -> str | None:
        """The version that tagged an offset; None where it may have been one of several, or an unknown one."""
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
        for answers in self.answers.values():
            answers.grow(rows)
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
        if not is_live:  # as a backfill does: duplicates move no watermark
            self.watermark = max(self.watermark, int(states.counters[place.slots, _LAST_TIME].max()))
            return
        self.watermark = max(self.watermark, int(table.time.max()))
        slots, offsets = place.slots[steps.places], place.offsets[steps.places]
        self.last[slots] = offsets
        fresh = self.since[slots] < 0
        self.since[slots[fresh][::-1]] = offsets[fresh][::-1]
        votes = self._judge(place, steps, slots, offsets)
        if self.recount is not None and piece is not None:
            self.recount.count(piece, steps, votes.get(piece.version or ""))

    # ---- judging

    def _encode(
        self,
        steps: Steps,
        slots: NDArray[np.int64],
        offsets: NDArray[np.int64],
        is_judged: NDArray[np.bool_],
    ) -> dict[str, Encoding]:
        """What each version says of the states, all of them where it may be in force; elsewhere of states
        that it assigned something to, the others stay NaN."""
        versions = self._assigned.in_force(int(offsets[0])) if len(offsets) else frozenset[str]()
        found: dict[str, Encoding] = {}
        for version, answers in self.answers.items():
            if version in versions or not versions or not is_judged.all():
                found[version] = answers.encoder.encode(steps.vectors)
                continue
            answers.now[slots] = _NOTHING
            at = [i for i, offset in enumerate(offsets.tolist()) if self._has_word(offset, version)]
            if at:
                found[version] = _spread(answers.encoder.encode(steps.vectors[at]), at, len(slots))
        return found

    def _has_word(self, offset: int, version: str) -> bool:
        return any(word.version == version for word in self._assigned.words.get(offset, ()))

    def _judge(
        self, place: Place, steps: Steps, slots: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> dict[str, Votes]:
        """Hold the assignments of a piece against its states; returns by version what the buyers voted for."""
        is_judged = offsets >= self._assigned.judged_from
        encodings = self._encode(steps, slots, offsets, is_judged)
        votes = {version: _votes(encoding) for version, encoding in encodings.items()}
        triples = {version: _triples(encoding) for version, encoding in encodings.items()}
        spoken = np.isin(offsets, self._spoken)
        self.report.not_judged += int(np.count_nonzero(~is_judged & ~spoken))
        look = spoken.copy()
        for version, now in triples.items():
            answers, is_near = self.answers[version], near(encodings[version])
            before = _previous(slots, now, answers.now)
            look |= (before != now).any(axis=1) | is_near | _previous(slots, is_near, answers.is_near)
        for i in np.flatnonzero(look).tolist():
            offset, slot = int(offsets[i]), int(slots[i])
            here = {
                v: self._answer(v, encodings[v], triples[v], i) for v in triples if _is_known(triples[v][i])
            }
            words = self._assigned.words.pop(offset, [])
            key = place.keys[steps.places[i]]
            for word in words:
                self._hold(word, key, offset, int(steps.events[i]), int(steps.last_time[i]), here)
            for version, answer in here.items():
                mine = next((word for word in reversed(words) if word.version == version), None)
                self._take(version, slot, answer, mine, bool(is_judged[i]))
            if not words and is_judged[i]:
                self._silence(offset, slot, here)
            for version in here:
                self._vote(votes[version], i, self.answers[version].assigned[slot], triples[version][i])
        for version, now in triples.items():
            answers, encoding = self.answers[version], encodings[version]
            answers.now[slots], answers.is_near[slots] = now, near(encoding)
            figures = (encoding.confidence, encoding.distance, encoding.margin)
            answers.figures[slots] = np.column_stack(figures)
        return votes

    def _vote(self, votes: Votes, i: int, assigned: NDArray[np.int16], now: NDArray[np.int16]) -> None:
        """A worker votes for what it assigned, also where the answer here differs by a tie."""
        if assigned[0] != _NOTHING and (assigned != now).any():
            votes.encoding.code[i], votes.encoding.type[i], votes.bands[i] = assigned
            votes.ties[i] = True

    def _answer(self, version: str, encoding: Encoding, now: NDArray[np.int16], i: int) -> Answer:
        code, kind, band = now[i].tolist()
        return Answer(
            code,
            self.answers[version].type_of(kind),
            band,
            float(encoding.confidence[i]),
            float(encoding.distance[i]),
            float(encoding.margin[i]),
        )

    def final(self, version: str, slot: int) -> Answer | None:
        """What a version says of a buyer's last state; None where it was not asked."""
        answers = self.answers.get(version)
        if answers is None or not _is_known(answers.now[slot]):
            return None
        code, kind, band = answers.now[slot].tolist()
        confidence, distance, margin = answers.figures[slot].tolist()
        return Answer(code, answers.type_of(kind), band, confidence, distance, margin)

    def _hold(
        self, word: Word, key: bytes, offset: int, events: int, time: int, here: Mapping[str, Answer]
    ) -> None:
        """Hold an assignment against the state at its offset."""
        where = f"partition {self.number} offset {offset}"
        if word.key != key:
            self.report.note("contradicting", "assignment.buyer", where)
            return
        if (word.events, word.event_time) != (events, time):
            what = "events" if word.events != events else "event_time"
            self.report.note("contradicting", f"assignment.{what}", where)
        answer = here.get(word.version)
        if answer is None:
            return
        same = (word.code, word.type) == (answer.code, answer.type)
        if same and is_tie(word, answer):  # the figures are within the tolerance as well
            return
        if is_tie(word, answer):
            self.report.ties += 1
            return
        what = "code" if word.code != answer.code else "type" if word.type != answer.type else "figures"
        self.report.note("contradicting", f"assignment.{what}", where)

    def _take(self, version: str, slot: int, answer: Answer, word: Word | None, is_judged: bool) -> None:
        answers = self.answers[version]
        if word is not None:
            band = 0 if word.confidence is None else confidence_band(word.confidence)
            answers.assigned[slot] = word.code, answers.index_of(word.type), band
        elif not is_judged:
            answers.assigned[slot] = answer.code, answers.index_of(answer.type), answer.band

    def _silence(self, offset: int, slot: int, here: Mapping[str, Answer]) -> None:
        """Nothing was assigned here: no version in force may have had anything to say."""
        in_force = self._assigned.in_force(offset) or here.keys()
        if any(version not in here for version in in_force):
            return
        was_tie = False
        for version in in_force:
            answers, answer = self.answers[version], here[version]
            code, kind, band = answers.assigned[slot].tolist()
            index = answers.index_of(answer.type)
            if (code, kind, band) == (answer.code, index, answer.band):
                return
            was_tie |= code != _NOTHING and _may_stay(answer, code, kind == index, band)
        if was_tie:
            self.report.ties += 1
            return
        for version in in_force:
            answer, answers = here[version], self.answers[version]
            answers.assigned[slot] = answer.code, answers.index_of(answer.type), answer.band
        where = f"partition {self.number} offset {offset}"
        self.report.note("unsaid", "assignment", where)

    def finish(self) -> None:
        """All records are added: what was assigned at offsets that changed no state was of nothing."""
        for offset, words in self._assigned.words.items():
            if offset < self.end and any(word.version in self._rules.encoders for word in words):
                where = f"partition {self.number} offset {offset}"
                self.report.note("contradicting", "assignment.offset", where)

    # ---- what must be in the store

    @property
    def last_times(self) -> NDArray[np.int64]:
        """Time of the last event (ms), int64 [slots]."""
        return self.table.states.counters[:, _LAST_TIME]


def _may_stay(answer: Answer, code: int, same_type: bool, band: int) -> bool:
    """Whether a runtime that rounds otherwise may have found nothing new: the old answer is as near."""
    figures = (np.array([value], np.float32) for value in (answer.confidence, answer.distance, answer.margin))
    confidence, distance, margin = figures
    nothing = np.zeros(1, np.int64)
    if code != answer.code:
        return bool(near_code(Encoding(nothing, distance, margin, nothing, confidence))[0])
    return (same_type or bool(near_type(confidence)[0])) and (
        band == answer.band or bool(near_band(confidence)[0]) or not same_type
    )


def _votes(encoding: Encoding) -> Votes:
    copied = encoding._replace(code=encoding.code.copy(), type=encoding.type.copy())
    return Votes(copied, confidence_bands(encoding.confidence), np.zeros(len(encoding.code), np.bool_))


def _triples(encoding: Encoding) -> NDArray[np.int16]:
    """Code, type and band, int16 [n, 3]; rows that were not encoded stay as they are marked."""
    triples = np.column_stack([encoding.code, encoding.type, confidence_bands(encoding.confidence)])
    triples[encoding.code == _NOTHING] = _NOTHING
    return triples.astype(np.int16)


def _is_known(triple: NDArray[np.int16]) -> bool:
    return bool(triple[0] != _NOTHING)


def _spread(encoding: Encoding, at: Sequence[int], n: int) -> Encoding:
    """An encoding of some rows among n; the others are of code _NOTHING."""
    whole = Encoding(
        np.full(n, _NOTHING, np.int64),
        np.full(n, np.nan, np.float32),
        np.full(n, np.nan, np.float32),
        np.full(n, _NOTHING, np.int64),
        np.full(n, np.nan, np.float32),
    )
    for column, some in zip(whole, encoding, strict=True):
        column[at] = some
    return whole


def _previous(slots: NDArray[np.int64], after: NDArray[T], known: NDArray[T]) -> NDArray[T]:
    """What held before each entry: from the slot's entry before, here, or from what was known of the slot."""
    order = np.argsort(slots, kind="stable")
    before = np.empty_like(after)
    before[order[1:]] = after[order[:-1]]
    first = np.zeros(len(slots), dtype=np.bool_)
    first[np.unique(slots, return_index=True)[1]] = True
    before[first] = known[slots[first]]
    return before
