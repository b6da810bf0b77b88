"""The assignments of one buyer in the order in which they held, and the one that held at a moment.

An assignment of an event holds once its event was folded. One after a swap or at the end of a session holds
from later on: from where its partition had come by then, which the assignments before it on the topic show.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from feature_store.online.assignment import Assignment, decode_assignment
from ops.past.moment import Moment
from ops.verify.expected.assigned import EVENT_REASONS


class Statement(NamedTuple):
    """An assignment, the offset of the clickstream from which on it held, and the topic's bytes of it."""

    assignment: Assignment
    since: int
    raw: bytes


@dataclass
class Statements:
    """Feed it a partition's assignments in the topic's order; it keeps those of one buyer."""

    key: bytes
    void_before: int
    """Assignments after records below this offset were erased; -1: none was."""
    kept: list[Statement] = field(default_factory=list)
    _reached: int = -1
    _known: set[tuple[int, str]] = field(default_factory=set)

    def add(self, key: bytes | None, raw: bytes) -> None:
        """Take the next assignment of the partition."""
        try:
            a = decode_assignment(raw)
        except msgspec.DecodeError:
            return  # `verify` names it
        self._reached = max(self._reached, a.offset)
        if key == self.key:
            self.keep(a, self._reached, raw)

    def keep(self, a: Assignment, since: int, raw: bytes) -> None:
        """Take the next assignment of the buyer, of which it is known from where on it held."""
        self._reached = max(self._reached, since)
        if a.offset < self.void_before:
            return
        if a.reason in EVENT_REASONS:
            if (a.offset, a.codebook_version) in self._known:
                return  # sent again after a crash: it holds from the first time on
            self._known.add((a.offset, a.codebook_version))
        self.kept.append(Statement(a, since, raw))

    def at(self, moment: Moment) -> Statement | None:
        """The last one that held at a moment; None where there was none yet."""
        return next((it for it in reversed(self.kept) if _held(it, moment)), None)


def _held(statement: Statement, moment: Moment) -> bool:
    if moment.time is not None:
        return statement.assignment.assigned_at <= moment.time
    return moment.offset is None or statement.since <= moment.offset
