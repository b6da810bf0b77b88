"""The topics that workers need: made by the local stack, and by `simpersona stack init` on any Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from feature_store.log.topics import BY_BROKERS, Replication
from feature_store.log.topics import create_topics as create_missing

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
        "simpersona-keys": (1, COMPACTED),
    }


def _sinks_dead_letters() -> list[str]:
    from streams.sinks.sink import sinks

    return [kind.dead_letters_topic for kind in sinks().values()]


def create_topics(
    config: Mapping[str, Any],
    partitions: int = DEFAULT_PARTITIONS,
    replication: Replication = BY_BROKERS,
) -> list[str]:
    """Create those of `topics` that are missing and return their names; the others are left as they are.

    config: connection settings of a confluent-kafka client.

    Raises:
        TopicError: as feature_store.log.topics.create_topics.
    """
    return create_missing(config, topics(partitions), replication)
