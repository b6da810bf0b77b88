"""The topics of the local stack; in production their owner makes them with the same configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ops.errors import StackTopicError

DEFAULT_PARTITIONS: Final = 8
ERASURE_PARTITIONS: Final = 8

KEEP: Final = {"retention.ms": "-1"}  # a local folder is deleted by hand, not by age: verify reads it all
# Records that no producer of ours would send must arrive, to become dead letters with a reason.
CLICKSTREAM: Final = {**KEEP, "message.timestamp.type": "CreateTime", "max.message.bytes": str(32 << 20)}
LETTERS: Final = {"retention.ms": str(30 * 86_400_000)}  # they hold what erased buyers did
COMPACTED: Final = {"cleanup.policy": "compact"}


def topics(partitions: int) -> dict[str, tuple[int, dict[str, str]]]:
    """Topic -> (partition count, configuration). Assignments lie as their events do, key by key."""
    return {
        "clickstream": (partitions, CLICKSTREAM),
        "clickstream-dead-letters": (partitions, LETTERS),
        "persona-assignments": (partitions, KEEP),
        **dict.fromkeys(_sinks_dead_letters(), (partitions, LETTERS)),
        "simpersona-control": (1, KEEP),  # one partition: commands have one order
        "simpersona-erasures": (ERASURE_PARTITIONS, COMPACTED),
    }


def _sinks_dead_letters() -> list[str]:
    from streams.sinks.sink import sinks

    return [kind.dead_letters_topic for kind in sinks().values()]


def create_topics(config: Mapping[str, Any], partitions: int = DEFAULT_PARTITIONS) -> list[str]:
    """Create the topics that are missing and return their names; the others are left as they are.

    config: connection settings of a confluent-kafka client.

    Raises:
        StackTopicError: Kafka refused, or a topic exists with another partition count.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({**config, "log_level": 0})  # what matters comes as an exception
    try:
        existing = admin.list_topics(timeout=15).topics
    except KafkaException as error:
        raise StackTopicError(f"Kafka at {config['bootstrap.servers']} does not answer: {error}") from error
    wanted = topics(partitions)
    for name, (count, _) in wanted.items():
        found = len(existing[name].partitions) if name in existing else count
        if found != count:
            raise StackTopicError(
                f"topic {name} has {found} partitions, not {count}: buyers would move between partitions; "
                "keep the old count, or start with a new data folder"
            )
    missing = [
        NewTopic(name, num_partitions=count, replication_factor=1, config=settings)
        for name, (count, settings) in wanted.items()
        if name not in existing
    ]
    if missing:
        for name, created in admin.create_topics(missing, operation_timeout=15).items():
            try:
                created.result()
            except KafkaException as error:
                raise StackTopicError(f"Kafka refused to create topic {name}: {error}") from error
    return [topic.topic for topic in missing]
