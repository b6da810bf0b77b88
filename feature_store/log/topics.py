"""Topics: facts about them, asked of the broker, and making those that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

from feature_store.errors import TopicError
from feature_store.log.clients import admin_client

_TIMEOUT_S: Final = 15.0


def partition_count(config: Mapping[str, Any], topic: str) -> int:
    """How many partitions a topic has.

    Raises:
        TopicError: Kafka does not answer, or there is no such topic.
    """
    return count_of(admin_client(config), topic)


def count_of(client: AdminClient | Consumer, topic: str, timeout_s: float = _TIMEOUT_S) -> int:
    """How many partitions a topic has, asked by a client that is there.

    Raises:
        TopicError: Kafka does not answer, or there is no such topic.
    """
    try:
        found = client.list_topics(topic, timeout=timeout_s).topics[topic]
    except KafkaException as error:
        raise TopicError(f"Kafka does not say what {topic} is: {error}") from error
    if found.error is not None or not found.partitions:
        raise TopicError(f"there is no topic {topic}; `simpersona stack up` makes the topics")
    return len(found.partitions)


def end_offsets(config: Mapping[str, Any], topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """The next offset of each partition, in one request.

    Raises:
        TopicError: Kafka does not answer.
    """
    return _offsets(config, topic, partitions, OffsetSpec.latest())


def begin_offsets(config: Mapping[str, Any], topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """The first offset of each partition that can still be read, in one request.

    Raises:
        TopicError: Kafka does not answer.
    """
    return _offsets(config, topic, partitions, OffsetSpec.earliest())


def _offsets(
    config: Mapping[str, Any], topic: str, partitions: Sequence[int], where: OffsetSpec
) -> dict[int, int]:
    """By a client of its own: one that saw the broker die keeps its old leader epoch, and list_offsets
    answers it with FENCED_LEADER_EPOCH for good."""
    wanted = {TopicPartition(topic, number): where for number in partitions}
    if not wanted:
        return {}
    admin = admin_client(config)
    try:
        answers = admin.list_offsets(wanted, request_timeout=_TIMEOUT_S)
        return {place.partition: answer.result().offset for place, answer in answers.items()}
    except KafkaException as error:
        raise TopicError(f"Kafka does not say where {topic} begins or ends: {error}") from error


def record_lives(config: Mapping[str, Any], topics: Sequence[str]) -> dict[str, int | None]:
    """How long (ms) a record of each topic can be read at most; None: no time deletes it.

    Kafka deletes a segment when its newest record is older than retention.ms; a segment is written for
    segment.ms at most.

    Raises:
        TopicError: Kafka does not answer, there is no such topic, or this user may not ask.
    """
    asked = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in dict.fromkeys(topics)]
    admin = admin_client(config)
    try:
        answers = admin.describe_configs(asked, request_timeout=_TIMEOUT_S)
        return {resource.name: _life(answer.result()) for resource, answer in answers.items()}
    except KafkaException as error:
        raise TopicError(f"Kafka does not say how long topics are kept: {error}") from error


def _life(settings: Mapping[str, Any]) -> int | None:
    kept_ms = int(settings["retention.ms"].value)
    if kept_ms < 0 or "delete" not in settings["cleanup.policy"].value:
        return None
    return kept_ms + int(settings["segment.ms"].value)


def create_topics(
    config: Mapping[str, Any], wanted: Mapping[str, tuple[int, Mapping[str, str]]]
) -> list[str]:
    """Create the topics that are missing and return their names; the others are left as they are.

    wanted: topic -> (partition count, configuration).

    Raises:
        TopicError: Kafka refused, or a topic exists with another partition count.
    """
    admin = admin_client({**config, "log_level": 0})  # what matters comes as an exception
    try:
        existing = admin.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise TopicError(f"Kafka at {config['bootstrap.servers']} does not answer: {error}") from error
    for name, (count, _) in wanted.items():
        found = len(existing[name].partitions) if name in existing else count
        if found != count:
            raise TopicError(
                f"topic {name} has {found} partitions, not {count}: buyers would move between partitions; "
                "keep the old count, or start with a new data folder"
            )
    missing = [
        NewTopic(name, num_partitions=count, replication_factor=1, config=dict(settings))
        for name, (count, settings) in wanted.items()
        if name not in existing
    ]
    if missing:
        for name, created in admin.create_topics(missing, operation_timeout=_TIMEOUT_S).items():
            try:
                created.result()
            except KafkaException as error:
                raise TopicError(f"Kafka refused to create topic {name}: {error}") from error
    return [topic.topic for topic in missing]
