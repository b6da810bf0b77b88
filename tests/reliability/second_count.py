"""A second count, written apart from the project's fold: each buyer's events, straight from the topic.

Nothing here is of feature_store. An event counts once per buyer and event id; a record that is not a JSON
object, or whose id says that it must be refused, must be a dead letter instead.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from tests.reliability.traffic import REFUSED


@dataclass
class Counted:
    """What the topics hold: events by Kafka key, and (partition, offset) of each record that must have been
    refused, of each that was, and of how many records in all."""

    events: dict[str, int]
    to_refuse: set[tuple[int, int]]
    refused: set[tuple[int, int]]
    records: int


def count(config: Mapping[str, Any], topic: str, dead_letters_topic: str, partitions: int) -> Counted:
    """Read both topics from the beginning to the present end."""
    ids: dict[str, set[str]] = defaultdict(set)
    to_refuse, records = set(), 0
    for message in _read(config, topic, partitions):
        records += 1
        event = _event(message)
        if event is None or event["event_id"].startswith(REFUSED):
            to_refuse.add((message.partition(), message.offset()))
        else:
            ids[message.key().decode()].add(event["event_id"])
    letters = (json.loads(message.value()) for message in _read(config, dead_letters_topic, partitions))
    refused = {(letter["partition"], letter["offset"]) for letter in letters}
    return Counted({key: len(found) for key, found in ids.items()}, to_refuse, refused, records)


def _event(message: Message) -> dict[str, Any] | None:
    try:
        event = json.loads(message.value() or b"")
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _read(config: Mapping[str, Any], topic: str, partitions: int) -> Iterator[Message]:
    consumer = Consumer({**config, "group.id": "second-count", "enable.auto.commit": False, "log_level": 0})
    try:
        for number in range(partitions):
            begin, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=60)
            consumer.assign([TopicPartition(topic, number, begin)])
            while begin < end:
                for message in consumer.consume(10_000, 1.0):
                    if message.error() is None and message.offset() < end:
                        begin = message.offset() + 1
                        yield message
    finally:
        consumer.close()
