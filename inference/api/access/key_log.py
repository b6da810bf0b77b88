"""Keys on their topic, compacted by id: what was made and what was revoked, whatever becomes of the store.

The online store answers for keys, but an older backup of it, or a replica that takes over, may hold a key
as it was before its revocation. So each process of the API reads this topic, and refuses the keys that it
has as revoked. A revocation on it is final: no later record takes it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec
import structlog
from confluent_kafka import Message

from feature_store.log.producer import Output
from feature_store.log.whole_topic import WholeTopic
from inference.api.access.keys import KeyRecord, decode_key, encode_key

log = structlog.get_logger(__name__)


class KnownKeys:
    """Records of the topic, by the id of their key."""

    def __init__(self) -> None:
        self.by_id: dict[str, KeyRecord] = {}

    def take(self, messages: Sequence[Message]) -> None:
        """Take records of the topic in. One that cannot be read is left out and said."""
        for message in messages:
            try:
                self.add(decode_key(message.value() or b""))
            except msgspec.DecodeError as error:
                log.error("key_record_unreadable", offset=message.offset(), error=str(error))

    def add(self, record: KeyRecord) -> None:
        """Remember a record; it takes no revocation back."""
        known = self.by_id.get(record.id)
        if known is None or known.revoked_at is None:
            self.by_id[record.id] = record

    def is_revoked(self, key_id: str) -> bool:
        """Whether the topic has the key as revoked."""
        known = self.by_id.get(key_id)
        return known is not None and known.revoked_at is not None


class KeyLog:
    """Writes to the topic and reads it from its beginning: for commands."""

    def __init__(self, config: Mapping[str, Any], topic: str, timeout_s: float) -> None:
        self._config, self._topic, self._timeout_s = config, topic, timeout_s

    def write(self, records: Iterable[KeyRecord]) -> None:
        """Put records on the topic; Kafka has them when it returns.

        Raises:
            ProducerError: Kafka did not take them all.
        """
        output = Output(self._config, self._timeout_s)
        for record in records:
            output.send(self._topic, record.id.encode(), encode_key(record))
        output.flush()

    def read(self) -> KnownKeys:
        """All that is on the topic now.

        Raises:
            TopicError: the topic is missing or cannot be read.
        """
        known = KnownKeys()
        with closing(WholeTopic(self._config, self._topic)) as topic:
            for messages in topic.to_end():
                known.take(messages)
        return known
