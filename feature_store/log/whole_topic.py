"""A topic read from its beginning and then onwards, outside of any group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import structlog
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from feature_store.errors import TopicError
from feature_store.log.clients import lone_consumer
from feature_store.log.reader import batches, is_end
from feature_store.log.topics import end_offsets, partition_count

log = structlog.get_logger(__name__)

_BATCH: Final = 10_000


class _Taken(NamedTuple):
    records: list[Message]
    trouble: KafkaError | None


class WholeTopic:
    """Every record of a topic, once; `restart` begins again."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        self._consumer = lone_consumer(config, "simpersona-whole-topic-reader")
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

        def unfinished() -> bool:
            return any(self._next[number] < end for number, end in ends.items())

        for received in batches(self._consumer, self._topic, unfinished, _BATCH):
            records, trouble = self._take(received)
            yield records
            if trouble is not None:
                raise TopicError(f"cannot read {self._topic}: {trouble}")

    def arrived(self) -> list[Message]:
        """What has come since, without waiting for anything; nothing before the first `to_end`."""
        if not self._next:
            return []
        try:
            records, trouble = self._take(self._consumer.consume(_BATCH, 0))
        except KafkaException as error:
            records, trouble = [], error.args[0]
        if trouble is not None:  # the client reads on by itself
            log.warning("kafka_read", topic=self._topic, error=str(trouble))
        return records

    def close(self) -> None:
        """Close the reader."""
        self._consumer.close()

    def _take(self, received: list[Message]) -> _Taken:
        """The records, every one of them: what is taken from the client does not come again."""
        records: list[Message] = []
        trouble: KafkaError | None = None
        for message in received:
            error, number = message.error(), message.partition()
            if error is None:
                self._next[number] = message.offset() + 1
                records.append(message)
            elif is_end(message):
                # What is left before the end was compacted away. The end may be an older one than asked for.
                self._next[number] = max(self._next[number], message.offset())
            else:
                trouble = error
        return _Taken(records, trouble)
