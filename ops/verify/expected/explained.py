"""Every assignment held against the state at its offset, and every change held to have been assigned.

Most events change nothing that is assigned: these are passed over with arrays, and only the others are looked
at one by one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vectors import Steps
from feature_store.online.changes import Sent, changes, reason_of
from inference.calibration.in_force import InForce
from inference.encoders.encoder import Encoding
from ops.verify.expected.answers import NOTHING, Answers, now_of, spread
from ops.verify.expected.assigned import EVENT_REASONS, Assigned, Word
from ops.verify.expected.counts import Votes
from ops.verify.expected.log import Rules
from ops.verify.expected.ties import Answer, fuzzy, is_tie
from ops.verify.report import VerifyReport


class Place(NamedTuple):
    """Accepted events of one batch under the same versions: Kafka keys, slots and offsets, one each."""

    keys: list[bytes]
    slots: NDArray[np.int64]
    offsets: NDArray[np.int64]


class _Look(NamedTuple):
    """What one version says after each of k steps, and what follows from it where nobody looks closer."""

    answers: Answers
    encoding: Encoding
    now: Sent
    fuzzy: NDArray[np.bool_]
    """[k, 5]: what another runtime may find otherwise."""
    is_due: NDArray[np.bool_]
    """[k]: whether something is to be sent, if all went on from what is here."""
    sent: Sent
    """[k, 5]: what is sent last after it."""
    ties: NDArray[np.bool_]
    """[k]: whether the owner may have another one as the last."""

    @classmethod
    def at(
        cls, answers: Answers, encoding: Encoding, slots: NDArray[np.int64], session_events: NDArray[np.int64]
    ) -> _Look:
        """Go through the steps of a piece."""
        now, fuzzy_ = now_of(encoding), fuzzy(encoding)
        buyers, place = np.unique(slots, return_inverse=True)
        sent, versions = answers.sent[buyers], np.zeros(len(buyers), np.uint32)
        found = changes(place, now, session_events, sent, versions, np.uint32(0))
        return cls(answers, encoding, now, fuzzy_, found.reasons > 0, found.sent, fuzzy_[:, 0].copy())

    def must_send(self, slot: int, i: int, number: int) -> bool:
        """Whether the step `i`, event `number` of its session, leads to an assignment."""
        return reason_of(self.now[i], self.answers.sent[slot], number) > 0

    def must_surely_send(self, slot: int, i: int, number: int) -> bool:
        """Whether it does whatever runtime looks."""
        sent = self.answers.sent[slot]
        surely = np.where(self.fuzzy[i], sent, self.now[i])
        return not self.answers.is_loose[slot] and reason_of(surely, sent, number) > 0

    def votes(self) -> Votes:
        """What buyers vote for."""
        return Votes(self.encoding, self.sent, self.ties)


def _worth_a_look(
    slots: NDArray[np.int64], spoken: NDArray[np.bool_], looks: Sequence[_Look]
) -> NDArray[np.bool_]:
    """bool [k]: steps with an assignment, or where there should be one; and all steps of a buyer for whom
    something else than the expected may be right."""
    look, expected = spoken.copy(), np.zeros(len(slots), np.bool_)
    closer = np.zeros(len(slots), np.bool_)
    for one in looks:
        expected |= one.is_due
        closer |= one.fuzzy.any(axis=1) | one.answers.is_near[slots] | one.answers.is_loose[slots]
    closer |= spoken != expected
    return look | expected | np.isin(slots, slots[closer])


def _first_run(words: Sequence[Word]) -> list[Word]:
    """Those of a step's assignments, in the order in which they were sent, that its event can have led to:
    what another version sent, and all after that, came by a walk through the store."""
    return list(itertools.takewhile(lambda word: word.version == words[0].version, words))


class Judge:
    """Holds one partition's assignments against its fold, piece by piece."""

    def __init__(
        self, number: int, rules: Rules, assigned: Assigned, in_force: InForce, report: VerifyReport
    ) -> None:
        """in_force: the partition's calibrations, as far as its log was read."""
        self._number, self._rules, self._assigned, self._report = number, rules, assigned, report
        spoke = assigned.versions
        if assigned.is_cut or not spoke:
            spoke.add(rules.champion)
        self.answers = {v: Answers(encoder, in_force) for v, encoder in rules.encoders.items() if v in spoke}
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
                found[version] = answers.encode(steps.vectors, keys, offsets)
                continue
            answers.now[slots] = NOTHING
            at = [i for i, offset in enumerate(offsets.tolist()) if self._has_word(offset, version)]
            if at:
                at_keys = [keys[i] for i in at]
                found[version] = spread(
                    answers.encode(steps.vectors[at], at_keys, offsets[at]), at, len(slots)
                )
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
        looks = {
            version: _Look.at(self.answers[version], encoding, slots, steps.session_events)
            for version, encoding in encodings.items()
        }
        spoken = np.isin(offsets, self._spoken)
        self._report.not_judged += int(np.count_nonzero(~is_judged & ~spoken))
        for i in np.flatnonzero(_worth_a_look(slots, spoken, list(looks.values()))).tolist():
            self._judge_one(i, keys[i], int(slots[i]), int(offsets[i]), bool(is_judged[i]), steps, looks)
        votes = {version: look.votes() for version, look in looks.items()}
        for version, look in looks.items():
            self.answers[version].look(slots, look.encoding, look.now, np.asarray(look.fuzzy.any(axis=1)))
        return votes

    def _judge_one(
        self,
        i: int,
        key: bytes,
        slot: int,
        offset: int,
        is_judged: bool,
        steps: Steps,
        looks: Mapping[str, _Look],
    ) -> None:
        """Hold what was assigned after the step `i` of a piece, or that nothing was."""
        here = {version: look for version, look in looks.items() if look.now[i, 0] != NOTHING}
        words = self._assigned.words.pop(offset, [])
        number = int(steps.session_events[i])
        for word in words:
            look = here.get(word.version)
            answer = None if look is None else look.answers.answer(look.encoding, i)
            self._hold(word, key, offset, int(steps.events[i]), int(steps.last_time[i]), answer)
        sent = [word for word in words if word.reason != "session_end"]  # which repeats, and changes nothing
        if not sent and is_judged:
            self._silence(key, offset, slot, i, number, here)
        by_event = _first_run(sent)
        for version, look in here.items():
            mine = [word for word in sent if word.version == version]
            if mine and is_judged and not self._is_due(look, slot, i, number, mine):
                where = f"partition {self._number} offset {offset}"
                self.note(key, "contradicting", "assignment.rule", where)
            of_event = [word for word in by_event if word.version == version]
            self._take(look, slot, i, number, of_event[-1] if of_event else None, offset)
            if len(mine) > len(of_event):  # by a walk after a swap: after the event had its vote
                look.answers.sent[slot] = look.answers.sent_by(mine[-1])
                look.answers.is_loose[slot] = look.fuzzy[i].any()

    def _is_due(self, look: _Look, slot: int, i: int, number: int, words: Sequence[Word]) -> bool:
        """Whether something had to be sent, or may have had to by another runtime."""
        answers = look.answers
        if answers.is_loose[slot] or look.fuzzy[i].any() or answers.sent[slot, 0] == NOTHING:
            return True
        if any(word.reason not in EVENT_REASONS or word.is_earlier for word in words):
            return True
        return look.must_send(slot, i, number)

    def final(self, version: str, slot: int) -> Answer | None:
        """What a version says of a buyer's last state; None where it was not asked."""
        answers = self.answers.get(version)
        return None if answers is None else answers.final(slot)

    def _hold(
        self, word: Word, key: bytes, offset: int, events: int, time: int, answer: Answer | None
    ) -> None:
        """Hold an assignment against the state at its offset; answer: its version's, None where unknown."""
        where = f"partition {self._number} offset {offset}"
        if word.key != key:
            self.note(key, "contradicting", "assignment.buyer", where)
            return
        if (word.events, word.event_time) != (events, time):
            what = "events" if word.events != events else "event_time"
            self.note(key, "contradicting", f"assignment.{what}", where)
        if answer is None:
            return
        types = {name: getattr(word, name) != getattr(answer, name) for name in ("code", "type", "forecast")}
        unlike = [name for name, differs in types.items() if differs and not word.is_earlier]
        if is_tie(word, answer):  # the figures are within the tolerance as well
            self._report.ties += bool(unlike)
            return
        self.note(key, "contradicting", f"assignment.{unlike[0] if unlike else 'figures'}", where)

    def _take(self, look: _Look, slot: int, i: int, number: int, word: Word | None, offset: int) -> None:
        """What is sent last after a step: the word, or by the rule where not all words are held."""
        answers = look.answers
        if word is not None:
            answers.sent[slot] = answers.sent_by(word)
            answers.is_loose[slot] = look.fuzzy[i].any()
        elif offset < self._assigned.held_from and reason_of(look.now[i], answers.sent[slot], number):
            answers.sent[slot] = look.now[i]
        look.sent[i], look.ties[i] = answers.sent[slot], look.ties[i] or answers.is_loose[slot]

    def _silence(
        self, key: bytes, offset: int, slot: int, i: int, number: int, here: Mapping[str, _Look]
    ) -> None:
        """Nothing was assigned here: no version in force may have had to."""
        in_force = self._assigned.in_force(offset) or here.keys()
        if any(version not in here for version in in_force):
            return
        due = [version for version in in_force if here[version].must_send(slot, i, number)]
        if len(due) < len(in_force):
            return
        if not all(here[version].must_surely_send(slot, i, number) for version in in_force):
            self._report.ties += 1
            return
        for version in in_force:
            here[version].answers.sent[slot] = here[version].now[i]
        where = f"partition {self._number} offset {offset}"
        self.note(key, "unsaid", "assignment", where)

    def finish(self) -> None:
        """All records are added: what was assigned at offsets that changed no state was of nothing."""
        for offset, words in self._assigned.words.items():
            if any(word.version in self._rules.encoders for word in words):
                where = f"partition {self._number} offset {offset}"
                self.note(words[0].key, "contradicting", "assignment.offset", where)
