"""Plain Kafka clients for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition


def produce(config: Mapping[str, Any], topic: str, values: list[bytes]) -> None:
    """Write values to partition 0 and wait until Kafka has them all."""
    producer = Producer({**config, "enable.idempotence": True, "compression.type": "lz4"})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0


def read_all(config: Mapping[str, Any], topic: str, count: int, partitions: int = 1) -> list[bytes]:
    """The first `count` values of so many partitions, from the beginning."""
    consumer = Consumer({**config, "group.id": "reader", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    values: list[bytes] = []
    while len(values) < count:
        messages = consumer.consume(count - len(values), timeout=30)
        assert messages, f"only {len(values)} of {count} came"
        values += [message.value() for message in messages]
    consumer.close()
    return values
