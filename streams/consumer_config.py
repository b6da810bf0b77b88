"""How the worker's consumer is set up: membership, back-pressure, and no commits of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.settings import WorkerSettings

_MAX_POLL_MS: Final = 300_000


def consumer_config(kafka: Mapping[str, Any], settings: WorkerSettings) -> dict[str, Any]:
    """librdkafka settings of the worker's consumer."""
    config: dict[str, Any] = {
        **kafka,
        "group.id": settings.group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "max.poll.interval.ms": _MAX_POLL_MS,
        # Bounds what is fetched ahead of a slow store or encoder: back-pressure ends at the broker.
        "queued.max.messages.kbytes": 16_384,
        "fetch.message.max.bytes": 4_194_304,
        "group.protocol": settings.group_protocol,
    }
    if settings.group_protocol == "classic":
        config["partition.assignment.strategy"] = "cooperative-sticky"
        config["session.timeout.ms"] = settings.session_timeout_ms
        config["heartbeat.interval.ms"] = settings.session_timeout_ms // 3
    if settings.instance_id:
        config["group.instance.id"] = settings.instance_id
    return config
