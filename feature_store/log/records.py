"""Records of the clickstream topic: which are accepted, and reading ranges of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from feature_store.contract.events import (
    DeadLetterReason,
    Event,
    check_clock,
    check_record_size,
    decode_event,
    record_key,
)
from feature_store.contract.partitions import partition_of
from feature_store.errors import InvalidEventError, TopicError

_BATCH: Final = 5_000
_POLL_S: Final = 0.1
_SILENCE_S: Final = 15.0
_PASSING: Final = {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}
"""A topic made a moment ago has no leader yet, or a broker died. The client calls none of them retriable."""


def accept(
    raw: bytes | None, raw_key: bytes | None, partition: int, create_time: int, partition_count: int
) -> tuple[Event, bytes]:
    """Decode and validate a record; returns the event and its key, store|buyer.

    Every reader of the topic comes through here: one truth about what counts. create_time in ms.

    Raises:
        InvalidEventError: with the reason and detail of the dead letter.
    """
    if raw is not None:
        check_record_size(len(raw))
    event = decode_event(raw)
    check_clock(event, create_time)
    key = record_key(event.store, event.buyer)
    if key != raw_key:
        raise InvalidEventError(
            DeadLetterReason.KEY_MISMATCH, "the record's key is not store|buyer of its own event"
        )
    expected = partition_of(key, partition_count)
    if partition != expected:
        raise InvalidEventError(
            DeadLetterReason.WRONG_PARTITION,
            f"murmur2 puts this key into partition {expected}: set the producer's partitioner to murmur2",
        )
    return event, key


class LogReader:
    """Reads ranges of partitions, outside of any group. Close it, or use it as a context manager."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._consumer = Consumer(
            {
                **config,
                "group.id": "simpersona-log-reader",  # required by the client; nothing is ever committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                # A waiting fetch holds up every other request on the connection, the next range's too.
                "fetch.wait.max.ms": 10,
            }
        )

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._consumer.close()

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First and next offset of a partition.

        Raises:
            TopicError: Kafka does not answer.
        """
        deadline = time.monotonic() + _SILENCE_S
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), _SILENCE_S)
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                    raise TopicError(f"cannot read {topic}: {error}") from error
                time.sleep(_POLL_S)
                with contextlib.suppress(KafkaException):  # else it asks the same broker again
                    self._consumer.list_topics(topic, timeout=_SILENCE_S)
            else:
                return low, high

    def read(
        self, topic: str, partition: int, start: int | None = None, end: int | None = None
    ) -> Iterator[list[Message]]:
        """Messages of [start, end) in order, from the first and to the present end where not given.

        Fewer come where the log has holes.

        Raises:
            TopicError: Kafka does not answer, or the log no longer reaches back to `start`.
        """
        low, high = self.bounds(topic, partition)
        start = low if start is None else start
        last = high if end is None else min(end, high)
        if start >= last:
            return
        if start < low:
            raise TopicError(
                f"partition {partition} of {topic} begins at {low}, offsets from {start} are gone: "
                "run `simpersona archive` before retention deletes them"
            )
        try:
            self._consumer.assign([TopicPartition(topic, partition, start)])
            at, heard = start, time.monotonic()
            while at < last:
                received = self._consumer.consume(_BATCH, _POLL_S)
                if received:
                    heard = time.monotonic()
                    messages, at = _until(received, topic, at, last)
                    yield messages
                elif time.monotonic() - heard > _SILENCE_S:
                    raise TopicError(f"{topic} does not answer for {_SILENCE_S:g} s")
        except KafkaException as error:
            raise TopicError(f"cannot read {topic}: {error}") from error


def _until(received: list[Message], topic: str, at: int, last: int) -> tuple[list[Message], int]:
    taken: list[Message] = []
    for message in received:
        error = message.error()
        if error is not None and error.name() == "_PARTITION_EOF":
            return taken, last  # holes may end a partition: there is nothing more before `last`
        if error is not None:
            raise TopicError(f"cannot read {topic}: {error}")
        if message.offset() >= last:
            return taken, last
        taken.append(message)
        at = message.offset() + 1
    return taken, at
