"""Topics: facts about them, asked of the broker, and making those that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, TopicMetadata

from feature_store.errors import TopicError
from feature_store.log.clients import admin_client

_TIMEOUT_S: Final = 15.0
MOST_REPLICAS: Final = 3
"""Copies of a topic where nobody says how many and there are as many brokers or more."""


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


class Replication(NamedTuple):
    """How many brokers hold a topic, and how many of them must have a record before a producer is told so.

    None: as many as there are brokers, up to MOST_REPLICAS; all of these but one.
    """

    copies: int | None = None
    in_sync: int | None = None


BY_BROKERS: Final = Replication()


def least_in_sync(copies: int) -> int:
    """min.insync.replicas for so many copies: one may be away, and a record is still in two places."""
    return max(copies - 1, 1)


def create_topics(
    config: Mapping[str, Any],
    wanted: Mapping[str, tuple[int, Mapping[str, str]]],
    replication: Replication = BY_BROKERS,
) -> list[str]:
    """Create the topics that are missing and return their names; the others are left as they are.

    wanted: topic -> (partition count, configuration). Producers of this project ask for acks=all.

    Raises:
        TopicError: Kafka does not answer or refused; a topic exists with another partition count, or with
            fewer copies than `replication` names; there are too few brokers.
    """
    admin = admin_client({**config, "log_level": 0})  # what matters comes as an exception
    try:
        cluster = admin.list_topics(timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise TopicError(f"Kafka at {config['bootstrap.servers']} does not answer: {error}") from error
    copies, in_sync = _settled(replication, len(cluster.brokers))
    here = [name for name in wanted if name in cluster.topics]
    for name in here:
        _check_existing(cluster.topics[name], wanted[name][0], replication.copies)
    if replication.in_sync is not None:
        _check_in_sync(admin, here, replication.in_sync)
    missing = [
        NewTopic(
            name,
            num_partitions=count,
            replication_factor=copies,
            config={**settings, "min.insync.replicas": str(in_sync)},
        )
        for name, (count, settings) in wanted.items()
        if name not in here
    ]
    if missing:
        for name, created in admin.create_topics(missing, operation_timeout=_TIMEOUT_S).items():
            try:
                created.result()
            except KafkaException as error:
                raise TopicError(f"Kafka refused to create topic {name}: {error}") from error
    return [topic.topic for topic in missing]


def _settled(replication: Replication, brokers: int) -> tuple[int, int]:
    """Copies, and how many of them must be in sync, where so many brokers are alive."""
    copies = min(brokers, MOST_REPLICAS) if replication.copies is None else replication.copies
    in_sync = least_in_sync(copies) if replication.in_sync is None else replication.in_sync
    if copies > brokers:
        raise TopicError(
            f"{copies} copies of each topic need {copies} brokers, and {brokers} of Kafka are alive: "
            f"start the others, or ask for {brokers}"
        )
    if in_sync > copies:
        raise TopicError(
            f"{in_sync} of {copies} copies can never be in sync: no write would be accepted; "
            f"ask for {least_in_sync(copies)}, so that one broker may be away"
        )
    return copies, in_sync


def _check_existing(topic: TopicMetadata, count: int, copies: int | None) -> None:
    if len(topic.partitions) != count:
        raise TopicError(
            f"topic {topic.topic} has {len(topic.partitions)} partitions, not {count}: buyers would move "
            "between partitions; keep the old count, or start with a new data folder"
        )
    fewest = min(len(partition.replicas) for partition in topic.partitions.values())
    if copies is not None and fewest != copies:
        raise TopicError(
            f"topic {topic.topic} has {fewest} copies, not {copies}: nothing was changed; "
            "move it with Kafka's kafka-reassign-partitions, or leave the option out"
        )


def _check_in_sync(admin: AdminClient, topics: Sequence[str], wanted: int) -> None:
    if not topics:
        return
    asked = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    try:
        for resource, answer in admin.describe_configs(asked, request_timeout=_TIMEOUT_S).items():
            found = int(answer.result()["min.insync.replicas"].value)
            if found != wanted:
                raise TopicError(
                    f"topic {resource.name} wants {found} copies in sync, not {wanted}: nothing was changed; "
                    "alter min.insync.replicas with Kafka's kafka-configs, or leave the option out"
                )
    except KafkaException as error:
        raise TopicError(f"Kafka does not say how topics are kept: {error}") from error
