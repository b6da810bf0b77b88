"""Runs a sink: persona-assignments -> the sink, at least once and in order within a partition.

A batch's offsets are committed when the sink took all of it, or when what it refused is a dead letter.
While the sink is busy the same batch is delivered again, ever more rarely; nothing more is read meanwhile.
Erasures are told between batches, by the member that has the buyer's partition (streams/sinks/telling.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from feature_store.errors import TopicError
from feature_store.log.clients import sink_consumer
from feature_store.log.producer import Output
from feature_store.log.reader import is_end
from feature_store.log.topics import partition_count
from feature_store.online.assignment import decode_assignment
from streams.errors import ConsumerError
from streams.sinks.backoff import backoff_s
from streams.sinks.delivery import Delivery
from streams.sinks.metrics import Delivered
from streams.sinks.settings import SinkSettings
from streams.sinks.sink import Answer, Busy, Item, Refused, Sink, Taken
from streams.sinks.telling import Erased, KnownErasures, Telling, decode_notified

log = structlog.get_logger(__name__)

_ERASURES_EVERY_S: Final = 5.0
_SESSION_MS: Final = 6_000
"""Partitions of a sink that was killed wait for so long; the broker allows no less."""
_FIRST_PAUSE_S: Final = 0.5
_POLL_S: Final = 0.2
_PATIENCE_S: Final = 3600.0
"""A longer Retry-After than this is not believed."""


_ASK_S: Final = 15.0

T = TypeVar("T", Item, Erased)


@dataclass(frozen=True)
class _Errand(Generic[T]):
    """How things of a kind are delivered. is_due: asked before each try; bury: what is refused for good."""

    is_due: Callable[[T], bool]
    send: Callable[[Sequence[T]], Answer | None]
    bury: Callable[[T, str], None]


def _send(errand: _Errand[T], due: Sequence[T]) -> Answer | None:
    return errand.send(due) if due else Taken()


class SinkRunner:
    """One member of a sink's consumer group."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        topic: str,
        name: str,
        settings: SinkSettings,
        sink: Sink,
        erasures: KnownErasures,
        output: Output,
    ) -> None:
        """topic: of assignments. name: of the sink, as registered. output: takes the dead letters."""
        self._kafka, self._topic, self._name, self._settings = dict(kafka), topic, name, settings
        self._erasures, self._output = erasures, output
        self._delivery = Delivery(name, sink, output, settings.dead_letters_topic)
        self._assigning = _Errand(self._is_due, self._delivery.assign, self._bury)
        self._erasing = _Errand(self._is_to_be_notified, self._delivery.tell, self._delivery.bury_erased)
        self._stores = frozenset(settings.stores)
        self._owned: set[int] = set()
        self._next: dict[int, int] = {}
        self._at_end: set[int] = set()
        self._waiting = False
        self._early: list[Message] = []
        self._erasures_at = -_ERASURES_EVERY_S
        self.metrics = self._delivery.metrics

    def stop(self) -> None:
        """Return from `run` within seconds; safe in a signal's handler.

        A delivery under way may end, for two seconds; then it is given up. What it had is delivered again
        by whoever reads there next.
        """
        # No Event: a signal's handler would wait for its lock, which the thread below it may hold.
        self._delivery.stopping = True

    def run(self, *, until_end: bool = False) -> Delivered:
        """Deliver until `stop`, or with `until_end` until this member's partitions are empty.

        Raises:
            TopicError: a topic is missing.
            ConsumerError, ProducerError: Kafka does not let this process go on; nothing is lost.
        """
        partition_count(self._kafka, self._settings.dead_letters_topic)
        partitions = partition_count(self._kafka, self._topic)
        self._telling = Telling(self._erasures, partitions, self._stores)
        consumer = sink_consumer(self._kafka, self._settings.group, session_ms=_SESSION_MS)
        consumer.subscribe(
            [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        try:
            while not self._delivery.stopping:
                messages = self._read(consumer)
                self._look_for_erasures(consumer, must=bool(messages))
                if messages:
                    items = [item for message in messages if (item := self._item(message)) is not None]
                    done = self._deliver(consumer, items, self._assigning)
                    if done < len(items):
                        messages = messages[: messages.index(items[done].message)]
                    self._commit(consumer, {m.partition(): m.offset() + 1 for m in messages})
                elif until_end and self._owned and self._at_end >= self._owned:
                    self._erasures_at = -_ERASURES_EVERY_S
                    self._look_for_erasures(consumer, must=True)
                    break
        finally:
            consumer.close()
        return self.metrics.delivered()

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.incremental_assign(places)
        self._owned |= {place.partition for place in places}
        if self._waiting:
            consumer.pause(places)

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.incremental_unassign(places)
        self._owned -= {place.partition for place in places}
        self._at_end &= self._owned
        self._telling.end(place.partition for place in places)

    def _read(self, consumer: Consumer) -> list[Message]:
        early, self._early = self._early, []
        room, linger_s = self._settings.batch_items - len(early), self._settings.linger_ms / 1000
        return early + (self._records(consumer.consume(room, linger_s)) if room > 0 else [])

    def _records(self, messages: Sequence[Message]) -> list[Message]:
        """Those that are records; the others say where a partition ends, or what is wrong."""
        found = []
        for message in messages:
            error = message.error()
            if error is None:
                self._at_end.discard(message.partition())
                found.append(message)
            elif is_end(message):
                self._at_end.add(message.partition())
            elif error.fatal():
                raise ConsumerError(f"cannot read {self._topic}: {error}")
            else:
                log.warning("consumer_error", code=error.name())
        return found

    def _deliver(self, consumer: Consumer, items: Sequence[T], errand: _Errand[T]) -> int:
        """Have them taken, in order; returns how many, fewer than all only where this process ends.

        A request that is refused is halved until the item at fault is found.
        """
        done, size, tried = 0, len(items), 0
        while done < len(items) and not self._delivery.stopping:
            part = items[done : done + size]
            answer = _send(errand, [item for item in part if errand.is_due(item)])
            if answer is None:
                break
            if isinstance(answer, Busy):
                tried += 1
                self._wait(consumer, tried, answer)
            elif isinstance(answer, Refused) and len(part) > 1:
                size = len(part) // 2
            else:
                if isinstance(answer, Refused):
                    errand.bury(part[0], answer.why)
                    size = len(items)
                done, tried = done + len(part), 0
        self._output.flush()
        return done

    def _bury(self, item: Item, why: str) -> None:
        self._delivery.bury(item.message, f"{self._name}_refused", why)

    def _item(self, message: Message) -> Item | None:
        """What to deliver of a record; None for one of another store, of somebody erased, or not of ours."""
        key: bytes = message.key() or b""
        try:
            assignment = decode_assignment(message.value() or b"")
        except msgspec.MsgspecError as error:
            self._delivery.bury(message, "no_assignment", str(error))
            return None
        if (
            self._stores and assignment.store not in self._stores
        ) or assignment.offset < self._erasures.ended_before(key):
            self.metrics.skipped.inc()
            return None
        return Item(f"{message.partition()}-{message.offset()}-{assignment.assigned_at}", message, assignment)

    def _is_due(self, item: Item) -> bool:
        """False for what another member has now, and of buyers who were erased while it waited."""
        message = item.message
        erased = item.assignment.offset < self._erasures.ended_before(message.key() or b"")
        return message.partition() in self._owned and not erased

    def _is_to_be_notified(self, erased: Erased) -> bool:
        return erased.partition in self._owned

    def _wait(self, consumer: Consumer, tried: int, answer: Busy) -> None:
        """Pause, and stay a member of the group meanwhile."""
        pause_s = self._backoff_s(tried, min(answer.wait_s or 0.0, _PATIENCE_S))
        log.warning(f"{self._name}_away", reason=answer.why, tried=tried, pause_s=round(pause_s, 1))
        self._waiting = True
        consumer.pause(consumer.assignment())
        until = time.monotonic() + pause_s
        while time.monotonic() < until and not self._delivery.stopping:
            # Nothing but ends of partitions, as a rule; a record that slipped through is the next batch's.
            self._early += self._records(
                consumer.consume(1, min(_POLL_S, max(0.0, until - time.monotonic())))
            )
        self._erasures.hear()
        self._waiting = False
        consumer.resume(consumer.assignment())

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._delivery.stopping:
            time.sleep(min(_POLL_S, seconds))

    def _backoff_s(self, tried: int, asked_s: float = 0.0) -> float:
        most_s = self._settings.backoff_s
        return backoff_s(tried, min(_FIRST_PAUSE_S, most_s), most_s, asked_s)

    def _look_for_erasures(self, consumer: Consumer, *, must: bool) -> None:
        """Know who was erased, and tell of it.

        must: know it up to a few seconds ago, however long that takes: without it no assignment is sent.
        """
        fresh = [number for number in self._owned if not self._telling.knows(number)]
        if must or fresh:
            self._insist("erasures_unknown", self._refresh_erasures)
            self._insist("offsets_unknown", lambda: self._begin(consumer, fresh))
        else:
            self._erasures.hear()
        waiting = self._telling.waiting()
        if waiting and self._deliver(consumer, waiting, self._erasing) == len(waiting):
            self._telling.done()
            self._commit(consumer, {it.partition: self._next[it.partition] for it in waiting})

    def _refresh_erasures(self) -> None:
        if time.monotonic() - self._erasures_at >= _ERASURES_EVERY_S:
            self._erasures.refresh()
            self._erasures_at = time.monotonic()

    def _begin(self, consumer: Consumer, numbers: Sequence[int]) -> None:
        """Learn how far partitions that are ours now were delivered, and their erasures told."""
        places = [TopicPartition(self._topic, number) for number in numbers]
        notified = {}
        for place in consumer.committed(places, timeout=_ASK_S) if places else ():
            if place.error is not None:
                raise KafkaException(place.error)
            if place.offset < 0:  # the group is new here
                begin, _ = consumer.get_watermark_offsets(place, timeout=_ASK_S)
                self._next[place.partition] = begin
            else:
                self._next[place.partition] = place.offset
            notified[place.partition] = decode_notified(place.metadata)
        self._telling.begin(notified)

    def _insist(self, trouble: str, ask: Callable[[], None]) -> None:
        """Ask Kafka until it answers or this process is to end."""
        tried = 0
        while not self._delivery.stopping:
            try:
                ask()
            except (TopicError, KafkaException) as error:
                tried += 1
                log.warning(trouble, cause=str(error))
                self._rest(self._backoff_s(tried))
            else:
                return

    def _commit(self, consumer: Consumer, offsets: Mapping[int, int]) -> None:
        """Of partitions that are ours still: another's are read again by their owner."""
        ours = {number: at for number, at in offsets.items() if self._telling.knows(number)}
        if not ours:
            return
        self._next |= ours
        places = [
            TopicPartition(self._topic, number, at, self._telling.metadata(number))
            for number, at in ours.items()
        ]
        try:
            consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:  # a rebalance: whoever reads there now delivers them once more
            log.warning("commit_failed", cause=str(error))
