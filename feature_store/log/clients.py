"""The clients of Kafka, made here and nowhere else: the settings of each kind (docs/adr/0042)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

_MAX_POLL_MS: Final = 300_000
_REQUEST_TIMEOUT_MS: Final = 10_000
"""A connection that is half open answers nothing and never breaks: without a request's time-out it would be
used for a minute, which is librdkafka's default (docs/reliability.md, network half open)."""
_PRODUCER: Final[dict[str, Any]] = {
    "enable.idempotence": True,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",  # every producer of the project: a buyer stays in one partition
    "linger.ms": 5,
    "socket.timeout.ms": _REQUEST_TIMEOUT_MS,
    "queue.buffering.max.messages": 500_000,
}


def lone_consumer(
    config: Mapping[str, Any],
    name: str,
    *,
    out_of_range: Literal["earliest", "error"] = "earliest",
    fetch_wait_ms: int = 500,
    ahead_kb: int = 65_536,
) -> Consumer:
    """A consumer outside of any group, which tells where a partition ends for now.

    config: as `librdkafka_config` returns it. name: the group id that the client asks for; it joins no group.
    out_of_range: what happens where the log begins after the offset asked for. fetch_wait_ms: so long a fetch
    that waits for records holds up every other request on the connection. ahead_kb: read ahead at most.
    """
    return Consumer(
        {
            **config,
            "group.id": name,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": out_of_range,
            "fetch.wait.max.ms": fetch_wait_ms,
            "queued.max.messages.kbytes": ahead_kb,
        }
    )


def member_config(
    config: Mapping[str, Any],
    group: str,
    *,
    session_ms: int,
    protocol: str = "classic",
    instance_id: str | None = None,
) -> dict[str, Any]:
    """Settings of a member of a consumer group: rebalances are cooperative, and nothing commits by itself.

    session_ms: with the classic protocol, how long the partitions of a member that was killed wait.
    instance_id: of a static member.
    """
    member: dict[str, Any] = {
        **config,
        "group.id": group,
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "max.poll.interval.ms": _MAX_POLL_MS,
        "socket.timeout.ms": _REQUEST_TIMEOUT_MS,
    }
    if protocol == "classic":
        member["partition.assignment.strategy"] = "cooperative-sticky"
        member["session.timeout.ms"] = session_ms
        member["heartbeat.interval.ms"] = session_ms // 3
    if instance_id:
        member["group.instance.id"] = instance_id
    return member


def worker_consumer(
    config: Mapping[str, Any], group: str, *, session_ms: int, protocol: str, instance_id: str | None
) -> Consumer:
    """A worker's member of its group: what is fetched ahead of a slow store or encoder is bounded, so that
    back-pressure ends at the broker."""
    member = member_config(config, group, session_ms=session_ms, protocol=protocol, instance_id=instance_id)
    return Consumer({**member, "queued.max.messages.kbytes": 16_384, "fetch.message.max.bytes": 4_194_304})


def sink_consumer(config: Mapping[str, Any], group: str, *, session_ms: int) -> Consumer:
    """A sink's member of its group, which tells where a partition ends for now."""
    return Consumer({**member_config(config, group, session_ms=session_ms), "enable.partition.eof": True})


def producer_config(config: Mapping[str, Any], special: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a producer: those of all of them, and what is special to one, which wins."""
    return {**config, **_PRODUCER, **special}


def make_producer(settings: dict[str, Any]) -> Producer:
    """A producer out of what `producer_config` returns."""
    return Producer(settings)


def admin_client(config: Mapping[str, Any]) -> AdminClient:
    """A client that asks about topics and makes them. Keep it by name: its requests end with it."""
    return AdminClient(dict(config))
