"""Runs a sink: persona-assignments -> the sink, at least once and in order within a partition.

A batch's offsets are committed when the sink took all of it, or when what it refused is a dead letter.
While the sink is busy the same batch is delivered again, ever more rarely; nothing more is read meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from feature_store.errors import TopicError
from feature_store.log.clients import sink_consumer
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from feature_store.log.reader import is_end
from feature_store.log.topics import partition_count
from feature_store.online.assignment import decode_assignment
from streams.dead_letters import dead_letter, encode_dead_letter
from streams.errors import ConsumerError
from streams.sinks.backoff import backoff_s
from streams.sinks.metrics import Delivered, SinkMetrics
from streams.sinks.settings import SinkSettings
from streams.sinks.sink import Answer, Busy, Item, Refused, Sink, Taken

log = structlog.get_logger(__name__)

_ERASURES_EVERY_S: Final = 5.0
_SESSION_MS: Final = 6_000
"""Partitions of a sink that was killed wait for so long; the broker allows no less."""
_FIRST_PAUSE_S: Final = 0.5
_POLL_S: Final = 0.2
_PATIENCE_S: Final = 3600.0
"""A longer Retry-After than this is not believed."""


class SinkRunner:
    """One member of a sink's consumer group."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        topic: str,
        name: str,
        settings: SinkSettings,
        sink: Sink,
        erasures: ErasureLog,
        output: Output,
    ) -> None:
        """topic: of assignments. name: of the sink, as registered. output: takes the dead letters."""
        self._kafka, self._topic, self._name, self._settings = dict(kafka), topic, name, settings
        self._sink, self._erasures, self._output = sink, erasures, output
        self._stores = frozenset(settings.stores)
        self._stopping = threading.Event()
        self._owned: set[int] = set()
        self._at_end: set[int] = set()
        self._waiting = False
        self._early: list[Message] = []
        self._erasures_at = -_ERASURES_EVERY_S
        self.metrics = SinkMetrics(name)

    def stop(self) -> None:
        """Return from `run` after the delivery that is under way."""
        self._stopping.set()

    def run(self, *, until_end: bool = False) -> Delivered:
        """Deliver until `stop`, or with `until_end` until this member's partitions are empty.

        Raises:
            TopicError: a topic is missing.
            ConsumerError, ProducerError: Kafka does not let this process go on; nothing is lost.
        """
        partition_count(self._kafka, self._settings.dead_letters_topic)
        consumer = sink_consumer(self._kafka, self._settings.group, session_ms=_SESSION_MS)
        consumer.subscribe(
            [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        try:
            while not self._stopping.is_set():
                messages = self._read(consumer)
                if messages:
                    self._refresh_erasures()
                    items = [item for message in messages if (item := self._item(message)) is not None]
                    done = self._deliver(consumer, items)
                    if done < len(items):
                        messages = messages[: messages.index(items[done].message)]
                    self._commit(consumer, messages)
                elif until_end and self._owned and self._at_end >= self._owned:
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

    def _deliver(self, consumer: Consumer, items: Sequence[Item]) -> int:
        """Have them taken, in order; returns how many, fewer than all only where this process ends.

        A request that is refused is halved until the item at fault is found.
        """
        done, size, tried = 0, len(items), 0
        while done < len(items) and not self._stopping.is_set():
            part = items[done : done + size]
            answer = self._send([item for item in part if item.message.partition() in self._owned])
            if isinstance(answer, Busy):
                tried += 1
                self._wait(consumer, tried, answer)
            elif isinstance(answer, Refused) and len(part) > 1:
                size = len(part) // 2
            else:
                if isinstance(answer, Refused):
                    self._bury(part[0].message, f"{self._name}_refused", answer.why)
                    size = len(items)
                done, tried = done + len(part), 0
        self._output.flush()
        return done

    def _item(self, message: Message) -> Item | None:
        """What to deliver of a record; None for one of another store, of somebody erased, or not of ours."""
        key: bytes = message.key() or b""
        try:
            said = decode_assignment(message.value() or b"")
        except msgspec.MsgspecError as error:
            self._bury(message, "no_assignment", str(error))
            return None
        if (self._stores and said.store not in self._stores) or said.offset < self._erasures.void_before(key):
            self.metrics.skipped.inc()
            return None
        return Item(f"{message.partition()}-{message.offset()}-{said.assigned_at}", message, said)

    def _send(self, items: Sequence[Item]) -> Answer:
        if not items:  # all of partitions that another member has now
            return Taken()
        answer = self._sink.deliver(items)
        self.metrics.requests.labels(type(answer).__name__.lower()).inc()
        if isinstance(answer, Taken):
            self.metrics.assignments.inc(len(items))
            self.metrics.delay.set(time.time() - items[-1].assignment.assigned_at / 1000)
        return answer

    def _bury(self, message: Message, reason: str, detail: str) -> None:
        place, raw = (message.topic(), message.partition(), message.offset()), message.value() or b""
        letter = encode_dead_letter(dead_letter(reason, detail, *place, raw, message.timestamp()[1]))
        self._output.send(self._settings.dead_letters_topic, message.key(), letter)
        self.metrics.dead_letters.inc()
        log.warning("assignment_refused", reason=reason, partition=place[1], offset=place[2], said=detail)

    def _wait(self, consumer: Consumer, tried: int, answer: Busy) -> None:
        """Pause, and stay a member of the group meanwhile."""
        pause_s = self._backoff_s(tried, min(answer.wait_s or 0.0, _PATIENCE_S))
        log.warning(f"{self._name}_away", said=answer.why, tried=tried, pause_s=round(pause_s, 1))
        self._waiting = True
        consumer.pause(consumer.assignment())
        until = time.monotonic() + pause_s
        while time.monotonic() < until and not self._stopping.is_set():
            # Nothing but ends of partitions, as a rule; a record that slipped through is the next batch's.
            self._early += self._records(
                consumer.consume(1, min(_POLL_S, max(0.0, until - time.monotonic())))
            )
        self._waiting = False
        consumer.resume(consumer.assignment())

    def _backoff_s(self, tried: int, asked_s: float = 0.0) -> float:
        most_s = self._settings.backoff_s
        return backoff_s(tried, min(_FIRST_PAUSE_S, most_s), most_s, asked_s)

    def _refresh_erasures(self) -> None:
        """Know who was erased up to a few seconds ago; without that nothing is sent."""
        if time.monotonic() - self._erasures_at < _ERASURES_EVERY_S:
            return
        tried = 0
        while not self._stopping.is_set():
            try:
                self._erasures.refresh()
            except TopicError as error:
                tried += 1
                log.warning("erasures_unknown", cause=str(error))
                self._stopping.wait(self._backoff_s(tried))
            else:
                self._erasures_at = time.monotonic()
                return

    def _commit(self, consumer: Consumer, messages: Sequence[Message]) -> None:
        """Of partitions that are ours still: another's are read again by their owner."""
        ours = {m.partition(): m.offset() + 1 for m in messages if m.partition() in self._owned}
        if not ours:
            return
        offsets = [TopicPartition(self._topic, number, offset) for number, offset in ours.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # a rebalance: whoever reads there now delivers them once more
            log.warning("commit_failed", cause=str(error))
