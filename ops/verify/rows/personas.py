"""Persona rows: exactly one per tagged buyer, under its own key, byte for byte the last assignment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import numpy as np

from feature_store.contract.events import record_key
from feature_store.fold.behavior import COUNTER
from feature_store.online.assignment import (
    OFFSET_DIGITS,
    Assignment,
    decode_assignment,
    is_of_an_earlier_release,
    token,
)
from feature_store.online.mending import Fix
from ops.verify.expected.assigned import Assigned, Last, said, word_of
from ops.verify.expected.fold import PartitionFold
from ops.verify.expected.ties import is_tie
from ops.verify.findings import Findings
from ops.verify.rows.headers import Headers, version_hash
from ops.verify.rows.states import States

_EVENTS: Final = COUNTER["events"]


class Personas:
    """Compares a partition's persona rows."""

    def __init__(
        self,
        fold: PartitionFold,
        assigned: Assigned,
        headers: Headers,
        states: States,
        champion: str,
        found: Findings,
    ) -> None:
        """After `states` has compared its rows: a persona is of the version that its state row names."""
        self._fold, self._assigned, self._headers = fold, assigned, headers
        self._versions, self._champion, self._found = states.versions, champion, found
        self._tagged_by = headers.tagged_by
        self._seen = np.zeros(len(states.versions), dtype=np.bool_)

    def compare(self, rows: Iterable[tuple[bytes, bytes]], end_now: Callable[[], int]) -> None:
        """Compare all (key, row with its digits). end_now: where the topic ends by now."""
        for key, row in rows:
            self._judge(key, row, end_now)
        for key, slot in self._fold.table.slots.items():
            if self._fold.last[slot] >= 0 and not self._seen[slot]:
                self._note("personas_missing", "persona.row", key, f"offset {self._fold.last[slot]}", None)

    def _judge(self, key: bytes, row: bytes, end_now: Callable[[], int]) -> None:
        slot = self._fold.table.slots.get(key)
        if slot is not None:
            self._seen[slot] = True
        try:
            a = decode_assignment(row[OFFSET_DIGITS:])
        except msgspec.DecodeError:
            self._note("stale", "persona.json", key, "", row)
            return
        place = f"offset {a.offset}"
        wrong = self._of_its_own(key, row, a)
        if wrong is not None:
            self._note("stale", f"persona.{wrong}", key, place, row)
        elif a.offset >= self._fold.end:
            self._judge_ahead(key, row, a, end_now)
        elif slot is None or self._fold.last[slot] < 0:
            self._found.note("extra", "persona.nobody", place, Fix(b"persona:" + key, None, row, None))
        else:
            self._found.report.personas += 1
            self._found.report.awaiting_swap += a.codebook_version != self._champion
            unlike = self._unlike_assigned(key, slot, row, a)
            if unlike is not None:
                self._note("stale", f"persona.{unlike}", key, place, row)

    def _of_its_own(self, key: bytes, row: bytes, a: Assignment) -> str | None:
        """What does not fit the row's own key and fields, if anything."""
        if row[:OFFSET_DIGITS] != b"%0*d" % (OFFSET_DIGITS, max(a.offset, 0)):
            return "digits"
        if record_key(a.store, a.buyer) != key:
            return "store" if not key.startswith(a.store.encode() + b"|") else "buyer"
        if a.token != token(a.code):
            return "token"
        return None if a.partition == self._found.number else "partition"

    def _judge_ahead(self, key: bytes, row: bytes, a: Assignment, end_now: Callable[[], int]) -> None:
        """A row of a record that no checkpoint holds yet: it was written at once, as it should be."""
        waiting = self._fold.waiting.get(a.offset)
        is_later = waiting is None and a.offset > max(self._fold.waiting, default=self._fold.end - 1)
        if waiting != key and not (is_later and a.offset < end_now()):
            self._note("stale", "persona.offset", key, f"offset {a.offset}", row)
            return
        self._found.report.ahead += 1
        raws = self._assigned.ahead.get((key, a.offset), [])
        if raws and row[OFFSET_DIGITS:] not in raws:
            self._note("stale", f"persona.{_first_unlike(a, raws[-1])}", key, f"offset {a.offset}", row)

    def _unlike_assigned(self, key: bytes, slot: int, row: bytes, a: Assignment) -> str | None:
        """The first field that is not the last assignment's."""
        if version_hash(a.codebook_version) != self._versions[slot] and self._tagged_by is not None:
            return "codebook_version"
        last = self._last(key, a.codebook_version)
        if last is None:
            return self._unlike_state(slot, row, a) if self._assigned.is_cut else "codebook_version"
        if row[OFFSET_DIGITS:] in last.raws or self._is_of_reading_again(key, row, a, last):
            return None
        if a.offset < self._assigned.judged_from and last.offset < a.offset:
            return self._unlike_state(slot, row, a)
        if self._is_of_an_owner_that_died(a, last):
            return self._unlike_state(slot, row, a)
        return _first_unlike(a, last.raws[-1])

    @staticmethod
    def _is_of_an_owner_that_died(a: Assignment, last: Last) -> bool:
        """Whether the row is of a later event than the last assignment, with what that said.

        Its owner wrote it and died before Kafka had the assignment. The next one tagged the buyer in its walk
        after a swap, before it read the event again, and found nothing new there.
        """
        is_same = said(a) == said(last.words[-1])
        return a.offset > last.offset and is_same and all(one.reason == "swap" for one in last.words)

    def _is_of_reading_again(self, key: bytes, row: bytes, a: Assignment, last: Last) -> bool:
        """Whether the last assignment is one that a swap made without an event, and the row came after it,
        and says the same: a store that went back is filled by reading again, which assigns at events."""
        return (
            a.offset < last.offset
            and all(word.reason == "swap" for word in last.words)
            and said(a) == said(last.words[-1])
            and row[OFFSET_DIGITS:] == self._assigned.latest.get((key, a.codebook_version))
        )

    def _unlike_state(self, slot: int, row: bytes, a: Assignment) -> str | None:
        """Where retention has deleted the assignment: what does not fit the buyer's state."""
        counters, last_time = self._fold.table.states.counters[slot], int(self._fold.last_times[slot])
        is_last = a.offset == self._fold.last[slot]
        if a.offset > self._fold.last[slot] or a.offset < self._fold.since[slot]:
            return "offset"
        if a.events > counters[_EVENTS] or (is_last and a.events != counters[_EVENTS]):
            return "events"
        if a.event_time > last_time or (is_last and a.event_time != last_time):
            return "event_time"
        answer = self._fold.judge.final(a.codebook_version, slot)
        if answer is None:
            return None
        is_earlier = is_of_an_earlier_release(row)
        lasting = {"code": is_last, "type": not is_earlier, "forecast": not is_earlier}
        unlike = [
            name for name, lasts in lasting.items() if lasts and getattr(a, name) != getattr(answer, name)
        ]
        if unlike:
            return unlike[0]
        figures = word_of(record_key(a.store, a.buyer), a, is_earlier=is_earlier)
        return "distance" if is_last and not is_tie(figures, answer) else None

    def _last(self, key: bytes, version: str) -> Last | None:
        return self._assigned.last.get(key, {}).get(version)

    def _note(self, counter: str, what: str, key: bytes, place: str, seen: bytes | None) -> None:
        self._found.note(counter, what, place, self._fix(key, seen))

    def _fix(self, key: bytes, seen: bytes | None) -> Fix | None:
        """The row that the last assignment makes, or no row; None where the log does not say."""
        slot = self._fold.table.slots.get(key)
        if slot is None or self._fold.last[slot] < 0:
            return Fix(b"persona:" + key, None, seen, None)
        header = self._headers.wanted(key, slot)
        version = None if header is None else self._headers.names.get(header.version)
        last = None if version is None else self._last(key, version)
        if last is None:
            return None
        return Fix(b"persona:" + key, None, seen, b"%0*d" % (OFFSET_DIGITS, last.offset) + last.raws[-1])


def _first_unlike(a: Assignment, raw: bytes) -> str:
    wanted = decode_assignment(raw)
    names = Assignment.__struct_fields__
    return next((name for name in names if getattr(a, name) != getattr(wanted, name)), "json")
