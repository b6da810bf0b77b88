"""A topic read from its beginning and then onwards, outside of any group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from feature_store.errors import TopicError
from feature_store.log.topics import end_offsets, partition_count

log = structlog.get_logger(__name__)

_BATCH: Final = 10_000
_POLL_S: Final = 0.1
_SILENCE_S: Final = 15.0


class WholeTopic:
    """Every record of a topic, once; `restart` begins again."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        # No group: every reader wants every record. The group id is required but never used.
        self._consumer = Consumer(
            {
                **config,
                "group.id": "simpersona-whole-topic-reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        self._config, self._topic = config, topic
        self._next: dict[int, int] = {}

    def restart(self) -> None:
        """Read from the beginning again."""
        self._next = {}

    def to_end(self) -> Iterator[list[Message]]:
        """What was not read yet, up to the present end.

        Raises:
            TopicError: the topic is missing or cannot be read.
        """
        if not self._next:
            self._next = dict.fromkeys(range(partition_count(self._config, self._topic)), 0)
            self._consumer.assign([TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in self._next])
        ends = end_offsets(self._config, self._topic, list(self._next))
        heard = time.monotonic()
        try:
            while any(self._next[p] < end for p, end in ends.items()):
                received = self._consumer.consume(_BATCH, _POLL_S)
                if received:
                    heard = time.monotonic()
                    yield self._records(received)
                elif time.monotonic() - heard > _SILENCE_S:
                    raise TopicError(f"the topic {self._topic} does not answer for {_SILENCE_S:g} s")
        except KafkaException as error:
            raise TopicError(f"cannot read the topic {self._topic}: {error}") from error

    def arrived(self) -> list[Message]:
        """What has come since, without waiting for anything; nothing before the first `to_end`."""
        if not self._next:
            return []
        try:
            return self._records(self._consumer.consume(_BATCH, 0))
        except (KafkaException, TopicError) as error:  # the client reads on by itself
            log.warning("kafka_read", topic=self._topic, error=str(error))
            return []

    def close(self) -> None:
        """Close the reader."""
        self._consumer.close()

    def _records(self, received: list[Message]) -> list[Message]:
        records = []
        for message in received:
            error, number = message.error(), message.partition()
            if error is None:
                self._next[number] = message.offset() + 1
                records.append(message)
            elif error.name() == "_PARTITION_EOF":
                # What is left before the end was compacted away.
                self._next[number] = max(self._next[number], message.offset())
            else:
                raise TopicError(f"cannot read the topic {self._topic}: {error}")
        return records
