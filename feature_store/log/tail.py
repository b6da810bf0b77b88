"""What is written from now on to one topic, and all of others, read by one consumer outside of any group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from feature_store.log.clients import lone_consumer
from feature_store.log.reader import is_end, translated
from feature_store.log.topics import count_of

log = structlog.get_logger(__name__)

_BATCH: Final = 1_000
_METADATA_S: Final = 5.0


class Tail:
    """`begin` once it answers, then `read` again and again. Of one thread. Close it."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        """name: see `lone_consumer`."""
        self._consumer = lone_consumer(config, name, fetch_wait_ms=100)
        self._unread: set[tuple[str, int]] = set()

    @property
    def caught_up(self) -> bool:
        """Whether the topics read whole were read to where they ended."""
        return not self._unread

    def begin(self, live: str, whole: Sequence[str]) -> list[int]:
        """Read `live` from its present end and `whole` from their beginnings; returns where `live` ends: a
        next offset per partition.

        Raises:
            TopicError: Kafka does not answer, or a topic is missing. It may be tried again.
        """
        with translated(live):
            ends = [self._consumer.get_watermark_offsets(it, _METADATA_S)[1] for it in self._places(live)]
        beginnings = [place for topic in whole for place in self._places(topic)]
        self._unread = {(place.topic, place.partition) for place in beginnings}
        for place in beginnings:
            place.offset = OFFSET_BEGINNING
        self._consumer.assign(
            [TopicPartition(live, number, end) for number, end in enumerate(ends)] + beginnings
        )
        return ends

    def read(self, wait_s: float) -> dict[str, list[Message]]:
        """Records by topic, as soon as there are some; {} where nothing comes within `wait_s`."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return {}
        by_topic: dict[str, list[Message]] = {}
        for message in [first, *self._consumer.consume(_BATCH, 0)]:
            error = message.error()
            if error is None:
                by_topic.setdefault(message.topic(), []).append(message)
            elif is_end(message):
                self._unread.discard((message.topic(), message.partition()))
            else:  # the client reads on by itself; what it says is why nothing comes
                log.warning("kafka_read", error=error.str())
        return by_topic

    def close(self) -> None:
        """Close the reader."""
        self._consumer.close()

    def _places(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, n) for n in range(count_of(self._consumer, topic, _METADATA_S))]
