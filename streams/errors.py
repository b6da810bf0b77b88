"""Exceptions of the live path. The root and the other branches: feature_store/errors.py.

StreamsError
+-- ConsumerError          the consumer is fatally broken (fenced static member, say): exit and restart
+-- MetricsPortError       the port of /metrics cannot be had
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


class SinkError(StreamsError):
    """A sink cannot begin or go on: its settings do not suffice or do not fit, or two have one name."""
