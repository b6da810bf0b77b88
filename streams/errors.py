"""Exceptions of the live path.

StreamsError
+-- KafkaConnectionError   no broker answers, or it refuses our user, password or certificate
+-- ProducerError          Kafka did not take what was sent: drop the cache, re-read, seek
+-- ConsumerError          the consumer is fatally broken (fenced static member, say): exit and restart
+-- WebhookError           the webhook sink has no usable URL or secret
+-- TopicError             a topic is missing or has another shape than the design asks for
"""

from __future__ import annotations

from feature_store.errors import SimpersonaError


class StreamsError(SimpersonaError):
    """Root of this package's errors."""


class KafkaConnectionError(StreamsError):
    """Kafka cannot be reached with these settings."""


class ProducerError(StreamsError):
    """Messages were not acknowledged."""


class FatalProducerError(StreamsError):
    """The producer cannot go on in this process."""


class ConsumerError(StreamsError):
    """The consumer cannot go on in this process."""


class MetricsPortError(StreamsError):
    """The port of /metrics cannot be had."""


class TopicError(StreamsError):
    """A topic does not exist or cannot be used."""


class WebhookError(StreamsError):
    """The webhook sink cannot begin: no URL, or no secret that fits."""
