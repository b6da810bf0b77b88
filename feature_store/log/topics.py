"""Facts about topics, asked of the broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from feature_store.errors import TopicError

_TIMEOUT_S: Final = 15.0


def partition_count(config: Mapping[str, Any], topic: str) -> int:
    """How many partitions a topic has.

    Raises:
        TopicError: Kafka does not answer, or there is no such topic.
    """
    try:
        found = AdminClient(dict(config)).list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise TopicError(f"Kafka at {config['bootstrap.servers']} does not answer: {error}") from error
    if found.error is not None or not found.partitions:
        raise TopicError(f"there is no topic {topic}; `simpersona stack up` makes the topics")
    return len(found.partitions)


def end_offsets(config: Mapping[str, Any], topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """The next offset of each partition, in one request.

    By a client of its own: one that saw the broker die keeps its old leader epoch, and list_offsets
    answers it with FENCED_LEADER_EPOCH for good.

    Raises:
        TopicError: Kafka does not answer.
    """
    wanted = {TopicPartition(topic, number): OffsetSpec.latest() for number in partitions}
    if not wanted:
        return {}
    admin = AdminClient(dict(config))
    try:
        answers = admin.list_offsets(wanted, request_timeout=_TIMEOUT_S)
        return {place.partition: answer.result().offset for place, answer in answers.items()}
    except KafkaException as error:
        raise TopicError(f"Kafka does not say where {topic} ends: {error}") from error
