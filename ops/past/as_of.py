"""As of then: what was assigned of a buyer at a moment, by which version, from which events.

What the topic (or its archive) holds is the answer; the fold of the buyer's events, encoded by the version
that assigned it, must give it again, and the answer says whether it does (docs/adr/0062).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from feature_store.contract.events import Event
from feature_store.contract.partitions import partition_of
from feature_store.fold.behavior import ALLOWED_LATENESS_MS
from feature_store.log.topics import partition_count
from feature_store.online.assignment import Assignment, read_assignment
from inference.encoders.encoder import Encoder
from ops.errors import MomentError, NothingAssignedError
from ops.past.moment import Moment, in_words
from ops.past.reading import BuyerLog, Sources, read_buyer
from ops.past.replay import Placed, answer_of, difference, encode_one, fold_buyer
from ops.past.statements import Statement

MOST_EVENTS: Final = 1_000
"""Of an answer: the newest that an assignment was made from."""

EncoderOf = Callable[[str], Encoder | None]
"""A codebook version -> its encoder; None where its bundle is gone."""


class FoldedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that an assignment was made from. offset: in the buyer's partition; -1: history from before
    the topic. timestamp: ms UTC."""

    offset: int
    event_id: str
    type: str
    timestamp: int
    product_id: str | None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the fold of the buyer's events gives the assignment again; agrees is null where it cannot be
    made again, and note says why, or in what they differ."""

    agrees: bool | None
    note: str | None


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """What was assigned of a buyer at a moment. since: the offset of the clickstream from which on it held.
    events: the newest 1,000 that it was made from, oldest first; their number is that of the assignment."""

    assignment: Assignment
    since: int
    replay: Replay
    events: list[FoldedEvent]


class Past(msgspec.Struct, frozen=True):
    """One buyer's statement at a moment, and what it was made from. events: those that changed the state, in
    the log's order; not whole where retention has deleted some, which `missing` counts."""

    log: BuyerLog
    statement: Statement
    events: list[Placed]
    missing: int


class Looker:
    """Looks back in the log of one installation."""

    def __init__(
        self, sources: Sources, encoder_of: EncoderOf, allowed_lateness_ms: int = ALLOWED_LATENESS_MS
    ) -> None:
        self._sources, self.encoder_of = sources, encoder_of
        self.allowed_lateness_ms = allowed_lateness_ms

    def look(self, key: bytes, void_before: int, moment: Moment, now_ms: int) -> Past:
        """Find what held of a buyer (Kafka key) at a moment. void_before: what was erased of them.

        Raises:
            NothingAssignedError: they had no persona then.
            MomentError: the moment is in the future, or lies where nothing can be read.
            PastError, TopicError, EventSourceError, OnlineStoreError: it cannot be read.
        """
        if moment.time is not None and moment.time > now_ms:
            raise MomentError(f"{in_words(moment.time)} is in the future")
        partitions = partition_count(self._sources.kafka, self._sources.topic)
        number = partition_of(key, partitions)
        log = read_buyer(self._sources, key, number, partitions, void_before, moment)
        return self.past_of(log, moment)

    def past_of(self, log: BuyerLog, moment: Moment) -> Past:
        """The same of a log that was read."""
        statement = log.statements.at(moment)
        if statement is None:
            raise _nothing(log, moment)
        a = statement.assignment
        events = [placed for placed in log.events if placed.offset <= a.offset]
        if events:
            places = fold_buyer([placed.event for placed in events], self.allowed_lateness_ms).places
            events = [events[place] for place in places]
        return Past(log, statement, events, a.events - len(events))

    def answer(self, past: Past) -> AsOf:
        """The answer to who asks."""
        statement = past.statement
        return AsOf(
            assignment=read_assignment(statement.raw),
            since=statement.since,
            replay=self._replay(past),
            events=[event_of(placed) for placed in past.events[-MOST_EVENTS:]],
        )

    def _replay(self, past: Past) -> Replay:
        a = past.statement.assignment
        if past.missing > 0:
            return Replay(
                agrees=None,
                note=f"{past.missing} of its {a.events} events are gone: the log begins at offset "
                f"{past.log.begins} of partition {a.partition}",
            )
        encoder = self.encoder_of(a.codebook_version)
        if encoder is None:
            return Replay(
                agrees=None, note=f"the bundle of version {a.codebook_version} is not here any more"
            )
        folded = fold_buyer([placed.event for placed in past.events], self.allowed_lateness_ms)
        calibration = past.log.calibrations.at(a.store, a.codebook_version, a.offset)
        answer = answer_of(encoder, encode_one(encoder, folded.vector, a.store, calibration))
        unlike = difference(past.statement.raw, a, folded, answer)
        return Replay(agrees=unlike is None, note=unlike)


def _nothing(log: BuyerLog, moment: Moment) -> NothingAssignedError | MomentError:
    first = log.statements.kept[0].assignment if log.statements.kept else None
    if log.assignments_begin > 0 and (first is None or first.events > 1):
        return MomentError(
            f"what was assigned then is gone: the topic of assignments begins at offset "
            f"{log.assignments_begin} of partition {log.partition}; `simpersona archive` keeps it"
        )
    if first is None:
        return NothingAssignedError("nothing was ever assigned of this buyer")
    return NothingAssignedError(
        f"nothing was assigned of this buyer yet: the first assignment is of offset {first.partition}:"
        f"{first.offset}, at {in_words(first.assigned_at)}"
    )


def event_of(placed: Placed) -> FoldedEvent:
    """An event as answers show it."""
    event: Event = placed.event
    return FoldedEvent(
        offset=placed.offset,
        event_id=event.event_id,
        type=event.type,
        timestamp=event.timestamp,
        product_id=event.product_id,
    )


def to_json(answer: AsOf) -> dict[str, Any]:
    """The answer, ready for JSON."""
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found
