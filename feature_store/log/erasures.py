"""Erased buyers: a compacted topic that every fold honours, so that no replay brings a buyer back.

A record says: of this key, everything before this offset of its clickstream partition is void. What
the buyer does later is a new life. Readers keep the highest offset of a key.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from feature_store.contract.erasure import Erasure, decode_erasure
from feature_store.errors import TopicError
from feature_store.log.topics import end_offsets, partition_count

_POLL_S: Final = 0.1
_SILENCE_S: Final = 15.0


class ErasureLog:
    """The erasures topic as a dict, read from the beginning and then onwards at each `refresh`."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        # No group: every reader wants every record. The group id is required but never used.
        self._consumer = Consumer(
            {
                **config,
                "group.id": "simpersona-erasures-reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        self._config, self._topic = config, topic
        self._next: dict[int, int] = {}
        self.by_key: dict[bytes, Erasure] = {}

    def refresh(self) -> None:
        """Read up to the present end of the topic.

        Raises:
            TopicError: the topic is missing or cannot be read.
        """
        if not self._next:
            self._next = dict.fromkeys(range(partition_count(self._config, self._topic)), 0)
            self._consumer.assign([TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in self._next])
        ends = end_offsets(self._config, self._topic, list(self._next))
        deadline = time.monotonic() + _SILENCE_S
        try:
            while any(self._next[p] < end for p, end in ends.items()):
                if self._read():
                    deadline = time.monotonic() + _SILENCE_S
                elif time.monotonic() > deadline:
                    raise TopicError(f"the topic {self._topic} does not answer for {_SILENCE_S:g} s")
        except KafkaException as error:
            raise TopicError(f"cannot read the topic {self._topic}: {error}") from error

    def void_before(self, key: bytes) -> int:
        """Offsets of the key below this one are void; -1 where nothing was erased: history from before the
        topic has offset -1 and stays."""
        erasure = self.by_key.get(key)
        return -1 if erasure is None else erasure.before_offset

    def add(self, key: bytes, erasure: Erasure) -> None:
        """Remember an erasure; of two the one that voids more stays, of equals the later."""
        known = self.by_key.get(key)
        if known is None or erasure.rank > known.rank:
            self.by_key[key] = erasure

    def close(self) -> None:
        """Close the reader."""
        self._consumer.close()

    def _read(self) -> bool:
        messages = self._consumer.consume(1_000, _POLL_S)
        for message in messages:
            error = message.error()
            if error is not None and error.name() == "_PARTITION_EOF":
                # What is left before the end was compacted away.
                self._next[message.partition()] = max(self._next[message.partition()], message.offset())
            elif error is not None:
                raise TopicError(f"cannot read the topic {self._topic}: {error}")
            else:
                self._next[message.partition()] = message.offset() + 1
                if message.value() is not None:
                    self.add(message.key(), decode_erasure(message.value()))
        return bool(messages)
