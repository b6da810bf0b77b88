"""What Kafka says of the workers' group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

_QUICK_S = 5


class Group:
    """A consumer group, seen from outside."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self._admin, self._name = AdminClient({**config, "log_level": 0}), name

    def members(self) -> int | None:
        """How many members the group has now; None while it rebalances or Kafka does not answer."""
        try:
            asked = self._admin.describe_consumer_groups([self._name], request_timeout=_QUICK_S)
            group = asked[self._name].result(_QUICK_S)
        except (KafkaException, TimeoutError):
            return None
        return len(group.members) if group.state == ConsumerGroupState.STABLE else None

    def is_stable(self, members: int) -> bool:
        """Whether it is made of so many members, and at rest."""
        return self.members() == members
