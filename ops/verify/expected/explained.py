"""Every assignment held against the state at its offset, and every change held to have been assigned.

Most events change nothing that is assigned: these are passed over with arrays, and only the others are looked
at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vectors import Steps
from feature_store.online.assignment import confidence_band
from inference.encoders.encoder import Encoding
from ops.verify.expected.answers import (
    NOTHING,
    Answers,
    is_known,
    may_stay,
    previous,
    spread,
    triples_of,
    votes_of,
)
from ops.verify.expected.assigned import Assigned, Word
from ops.verify.expected.counts import Votes
from ops.verify.expected.log import Rules
from ops.verify.expected.ties import Answer, is_tie, near
from ops.verify.report import VerifyReport


class Place(NamedTuple):
    """Accepted events of one batch under the same versions: Kafka keys, slots and offsets, one each."""

    keys: list[bytes]
    slots: NDArray[np.int64]
    offsets: NDArray[np.int64]


class Judge:
    """Holds one partition's assignments against its fold, piece by piece."""

    def __init__(self, number: int, rules: Rules, assigned: Assigned, report: VerifyReport) -> None:
        self._number, self._rules, self._assigned, self._report = number, rules, assigned, report
        spoke = assigned.versions
        if assigned.is_cut or not spoke:
            spoke.add(rules.champion)
        self.answers = {v: Answers(encoder) for v, encoder in rules.encoders.items() if v in spoke}
        """By codebook version, of those that assigned anything."""
        self._spoken = np.array(sorted(assigned.words), dtype=np.int64)
        self.doubtful: set[bytes] = set()
        """Keys of buyers with events that an earlier fold would have counted otherwise."""
        self.deferred: dict[bytes, list[tuple[str, str, str]]] = {}
        """What was found of them, to be noted unless their row turns out to be begun by an earlier fold."""

    def note(self, key: bytes, counter: str, what: str, where: str) -> None:
        """Note what is wrong with an assignment of a buyer; of a doubtful one, later."""
        if key in self.doubtful:
            self.deferred.setdefault(key, []).append((counter, what, where))
        else:
            self._report.note(counter, what, where)

    def grow(self, rows: int) -> None:
        """Have room for so many slots."""
        for answers in self.answers.values():
            answers.grow(rows)

    def _encode(
        self,
        keys: Sequence[bytes],
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
                found[version] = answers.encode(steps.vectors, keys)
                continue
            answers.now[slots] = NOTHING
            at = [i for i, offset in enumerate(offsets.tolist()) if self._has_word(offset, version)]
            if at:
                at_keys = [keys[i] for i in at]
                found[version] = spread(answers.encode(steps.vectors[at], at_keys), at, len(slots))
        return found

    def _has_word(self, offset: int, version: str) -> bool:
        return any(word.version == version for word in self._assigned.words.get(offset, ()))

    def judge(
        self, place: Place, steps: Steps, slots: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> dict[str, Votes]:
        """Hold the assignments of a piece against its states; returns the votes by version."""
        is_judged = offsets >= self._assigned.judged_from
        keys = [place.keys[i] for i in steps.places.tolist()]
        encodings = self._encode(keys, steps, slots, offsets, is_judged)
        votes = {version: votes_of(encoding) for version, encoding in encodings.items()}
        triples = {version: triples_of(encoding) for version, encoding in encodings.items()}
        spoken = np.isin(offsets, self._spoken)
        self._report.not_judged += int(np.count_nonzero(~is_judged & ~spoken))
        look = spoken.copy()
        for version, now in triples.items():
            answers, is_near = self.answers[version], near(encodings[version])
            before = previous(slots, now, answers.now)
            look |= (before != now).any(axis=1) | is_near | previous(slots, is_near, answers.is_near)
        for i in np.flatnonzero(look).tolist():
            offset, slot = int(offsets[i]), int(slots[i])
            here = {
                v: self._answer(v, encodings[v], triples[v], i) for v in triples if is_known(triples[v][i])
            }
            words = self._assigned.words.pop(offset, [])
            key = keys[i]
            for word in words:
                self._hold(word, key, offset, int(steps.events[i]), int(steps.last_time[i]), here)
            for version, answer in here.items():
                mine = next((word for word in reversed(words) if word.version == version), None)
                self._take(version, slot, answer, mine, bool(is_judged[i]))
            if not words and is_judged[i]:
                self._silence(key, offset, slot, here)
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
        if assigned[0] != NOTHING and (assigned != now).any():
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
        if answers is None or not is_known(answers.now[slot]):
            return None
        code, kind, band = answers.now[slot].tolist()
        confidence, distance, margin = answers.figures[slot].tolist()
        return Answer(code, answers.type_of(kind), band, confidence, distance, margin)

    def _hold(
        self, word: Word, key: bytes, offset: int, events: int, time: int, here: Mapping[str, Answer]
    ) -> None:
        """Hold an assignment against the state at its offset."""
        where = f"partition {self._number} offset {offset}"
        if word.key != key:
            self.note(key, "contradicting", "assignment.buyer", where)
            return
        if (word.events, word.event_time) != (events, time):
            what = "events" if word.events != events else "event_time"
            self.note(key, "contradicting", f"assignment.{what}", where)
        answer = here.get(word.version)
        if answer is None:
            return
        same = (word.code, word.type) == (answer.code, answer.type)
        if same and is_tie(word, answer):  # the figures are within the tolerance as well
            return
        if is_tie(word, answer):
            self._report.ties += 1
            return
        what = "code" if word.code != answer.code else "type" if word.type != answer.type else "figures"
        self.note(key, "contradicting", f"assignment.{what}", where)

    def _take(self, version: str, slot: int, answer: Answer, word: Word | None, is_judged: bool) -> None:
        answers = self.answers[version]
        if word is not None:
            band = 0 if word.confidence is None else confidence_band(word.confidence)
            answers.assigned[slot] = word.code, answers.index_of(word.type), band
        elif not is_judged:
            answers.assigned[slot] = answer.code, answers.index_of(answer.type), answer.band

    def _silence(self, key: bytes, offset: int, slot: int, here: Mapping[str, Answer]) -> None:
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
            was_tie |= code != NOTHING and may_stay(answer, code, kind == index, band)
        if was_tie:
            self._report.ties += 1
            return
        for version in in_force:
            answer, answers = here[version], self.answers[version]
            answers.assigned[slot] = answer.code, answers.index_of(answer.type), answer.band
        where = f"partition {self._number} offset {offset}"
        self.note(key, "unsaid", "assignment", where)

    def finish(self) -> None:
        """All records are added: what was assigned at offsets that changed no state was of nothing."""
        for offset, words in self._assigned.words.items():
            if any(word.version in self._rules.encoders for word in words):
                where = f"partition {self._number} offset {offset}"
                self.note(words[0].key, "contradicting", "assignment.offset", where)
