"""Exceptions of the feature store.

SimpersonaError                 the root that the command line turns into one line on stderr
+-- SettingError                an environment variable holds a value that is wrong
+-- FeatureStoreError
    +-- InvalidEventError       one event breaks the contract; carries a DeadLetterReason
    +-- IdentityKeyError        the key of buyer pseudonyms is missing or unusable
    +-- AdapterError            a payload or a mapping file cannot be adapted
    |   +-- SkippedItemError    one item of a payload is no event; carries a SkipReason
    +-- EventSourceError        a file of events cannot be read or written
    +-- OutputError             a result cannot be written where it was asked for
    +-- OnlineStoreError
        +-- EmptyStoreError     no worker has run on this topic yet
        +-- FencedError         another worker wrote this partition: re-read and seek
        +-- RowVersionError     a stored row is of a schema this code does not know
        +-- PartitionCountError the store was filled with another partition count
    +-- LogError
        +-- KafkaConnectionError  no broker answers, or it refuses our user, password or certificate
        +-- ProducerError         Kafka did not take what was sent: drop the cache, read again, seek
        +-- FatalProducerError    the producer cannot go on in this process: restart it
        +-- TopicError            a topic is missing or has another shape than the design asks for
"""

from __future__ import annotations


class SimpersonaError(Exception):
    """Root of every error that this project raises on purpose."""


class SettingError(SimpersonaError):
    """A setting is wrong; the message names its environment variable."""


class FeatureStoreError(SimpersonaError):
    """Root of this package's errors."""


class InvalidEventError(FeatureStoreError):
    """An event that breaks the contract: `reason` is bounded (a metric label), `detail` is for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class IdentityKeyError(FeatureStoreError):
    """The key of buyer pseudonyms is missing or unusable."""


class AdapterError(FeatureStoreError):
    """A vendor payload or a mapping file cannot be turned into events."""


class SkippedItemError(AdapterError):
    """An item that is no event: `reason` is bounded (a metric label), `detail` is for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class EventSourceError(FeatureStoreError):
    """A file of events cannot be read or written."""


class OutputError(FeatureStoreError):
    """A result cannot be written where it was asked for; nothing half-written is left."""


class OnlineStoreError(FeatureStoreError):
    """The online store refused or did not answer."""


class EmptyStoreError(OnlineStoreError):
    """The store answers and holds nothing of the topic: no worker has run yet."""


class FencedError(OnlineStoreError):
    """Another worker wrote this partition since we last did: our cache is stale."""


class RowVersionError(OnlineStoreError):
    """A stored row has a schema version that this code cannot read."""


class PartitionCountError(OnlineStoreError):
    """The topic's partition count differs from the one the store was filled with."""


class LogError(FeatureStoreError):
    """Root of what can go wrong with Kafka."""


class KafkaConnectionError(LogError):
    """Kafka cannot be reached with these settings."""


class ProducerError(LogError):
    """Messages were not acknowledged."""


class FatalProducerError(LogError):
    """The producer cannot go on in this process."""


class TopicError(LogError):
    """A topic does not exist or cannot be used."""
