"""Exceptions of the live path. The root and the other branches: feature_store/errors.py.

StreamsError
+-- ConsumerError          the consumer is fatally broken (fenced static member, say): exit and restart
+-- MetricsPortError       the port of /metrics cannot be had
+-- UnreadableRowError     a stored row cannot be read: its partition waits, the others go on
+-- SinkError              a sink cannot begin: its settings do not suffice
"""

from __future__ import annotations

from feature_store.errors import SimpersonaError


class StreamsError(SimpersonaError):
    """Root of this package's errors."""


class ConsumerError(StreamsError):
    """The consumer cannot go on in this process."""


class MetricsPortError(StreamsError):
    """The port of /metrics cannot be had."""


class UnreadableRowError(StreamsError):
    """A row of one partition cannot be read.

    what: names the kind of row; key: the buyer's Kafka key, None for a row of the partition itself.
    """

    def __init__(self, partition: int, what: str, why: str, key: bytes | None = None) -> None:
        super().__init__(f"the {what} cannot be read: {why}")
        self.partition, self.what, self.key = partition, what, key


class SinkError(StreamsError):
    """A sink cannot begin or go on: its settings do not suffice or do not fit, or two have one name."""
