"""Reading without a group: where a partition ends, how long silence is borne, ranges of offsets."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from feature_store.errors import TopicError
from feature_store.log.clients import lone_consumer

log = structlog.get_logger(__name__)

SILENCE_S: Final = 15.0
"""So long Kafka may give nothing of what must be there."""
_BATCH: Final = 5_000
_POLL_S: Final = 0.1
_PASSING: Final = {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}
"""A topic made a moment ago has no leader yet, or a broker died. The client calls none of them retriable."""


def is_end(message: Message) -> bool:
    """Whether a message is no record but tells that its partition ends for now, at its offset."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


@contextlib.contextmanager
def translated(topic: str) -> Iterator[None]:
    """Let the client's exceptions out as TopicError."""
    try:
        yield
    except KafkaException as error:
        raise TopicError(f"cannot read {topic}: {error}") from error


def batches(
    consumer: Consumer, topic: str, unfinished: Callable[[], bool], count: int
) -> Iterator[list[Message]]:
    """What a consumer receives while it is `unfinished`, `count` messages at most at a time.

    An empty list comes now and then while there is nothing, so that the caller can look to other things.

    Raises:
        TopicError: Kafka does not answer.
    """
    heard = time.monotonic()
    with translated(topic):
        while unfinished():
            received = consumer.consume(count, _POLL_S)
            if not received and time.monotonic() - heard > SILENCE_S:
                raise TopicError(f"{topic} does not answer for {SILENCE_S:g} s")
            yield received
            if received:
                heard = time.monotonic()  # after the yield: what the caller does meanwhile is no silence


def arrived(consumer: Consumer, topic: str, count: int, wait_s: float) -> list[Message]:
    """Records, and ends of partitions, that come within `wait_s`. Errors that the client gets over by itself
    are logged.

    Raises:
        TopicError: the client cannot go on.
    """
    with translated(topic):
        received = consumer.consume(count, wait_s)
    kept = []
    for message in received:
        error = message.error()
        if error is None or is_end(message):
            kept.append(message)
        elif error.fatal():
            raise TopicError(f"cannot read {topic}: {error}")
        else:
            log.warning("kafka_read", topic=topic, error=error.str())
    return kept


class Ranges:
    """Offsets [start, end) of partitions of a topic, read once by whoever iterates over it.

    `at` tells how far it came, a next offset per partition; `received` how many messages came, with those
    behind the ends. Fewer records than offsets come where the log has holes.
    """

    def __init__(
        self,
        consumer: Consumer,
        topic: str,
        starts: Mapping[int, int],
        ends: Mapping[int, int],
        count: int = _BATCH,
    ) -> None:
        """consumer: of `lone_consumer`; its assignment is replaced. ends: none is behind the topic's present
        end. count: most messages at a time."""
        self._consumer, self._topic, self._ends, self._count = consumer, topic, ends, count
        self.at, self.received = dict(starts), 0

    def __iter__(self) -> Iterator[list[Message]]:
        """Batches, each partition's records in order; empty ones while nothing comes.

        Raises:
            TopicError: Kafka does not answer.
        """
        wanted = [TopicPartition(self._topic, n, at) for n, at in self.at.items() if at < self._ends[n]]
        if not wanted:
            return
        with translated(self._topic):
            self._consumer.assign(wanted)
        for messages in batches(self._consumer, self._topic, self._unfinished, self._count):
            self.received += len(messages)
            yield [message for message in messages if self._take(message)]

    def _unfinished(self) -> bool:
        return any(at < self._ends[number] for number, at in self.at.items())

    def _take(self, message: Message) -> bool:
        """Note how far a message goes; whether it is a record of the range."""
        error, number = message.error(), message.partition()
        if error is not None and not is_end(message):
            raise TopicError(f"cannot read {self._topic}: {error}")
        if error is None and message.offset() < self._ends[number]:
            self.at[number] = message.offset() + 1
            return True
        self.at[number] = max(self.at[number], self._ends[number])  # holes may end a range
        return False


class LogReader:
    """Reads ranges of partitions, outside of any group. Close it, or use it as a context manager."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        # The next range's request is not to wait for the last one's fetch.
        self._consumer = lone_consumer(
            config, "simpersona-log-reader", out_of_range="error", fetch_wait_ms=10
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
        deadline = time.monotonic() + SILENCE_S
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), SILENCE_S)
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                    raise TopicError(f"cannot read {topic}: {error}") from error
                time.sleep(_POLL_S)
                with contextlib.suppress(KafkaException):  # else it asks the same broker again
                    self._consumer.list_topics(topic, timeout=SILENCE_S)
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
        yield from Ranges(self._consumer, topic, {partition: start}, {partition: last})
