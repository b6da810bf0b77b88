"""Exceptions of the project: the root, and the branch of the feature store.

SimpersonaError                     the root; the command line shows one as a line on stderr
+-- SettingError                    the value of an environment variable is wrong
+-- FeatureStoreError
    +-- InvalidEventError           an event breaks the contract; carries a DeadLetterReason
    +-- IdentityKeyError            the key of buyer pseudonyms is missing or unusable
    +-- AdapterError                a payload or a mapping file cannot be adapted
    |   +-- SkippedItemError        an item of a payload is no event; carries a SkipReason
    |   |   +-- UnmappedEventError  its event name is known to nobody; carries the name
    |   +-- MappingError            a mapping file is wrong at one of its keys
    +-- EventSourceError            a file of events cannot be read or written
    +-- OutputError                 a result cannot be written at its place
    +-- OnlineStoreError            the online store refused or did not answer
    |   +-- EmptyStoreError         no worker has run on this topic yet
    |   +-- FencedError             another worker wrote this partition: read again and seek
    |   +-- RowVersionError         this code cannot read the schema version of a stored row
    |   +-- PartitionCountError     the store was filled with another partition count
    +-- LogError                    Kafka failed
        +-- KafkaConnectionError    no broker answers, or it refuses our user, password or certificate
        +-- ProducerError           Kafka did not acknowledge messages: drop the cache, read again, seek
        +-- FatalProducerError      the producer cannot go on in this process: restart it
        +-- TopicError              a topic is missing or cannot be used

Each other room draws its own branch below SimpersonaError: inference/errors.py, streams/errors.py,
training/errors.py, ops/errors.py with ops/traffic/errors.py, and bench/comparison/errors.py. The API's
client has a root of its own: clients/python/src/simpersona_client/_errors.py.
"""

from __future__ import annotations


class SimpersonaError(Exception):
    """Root of every error that this project raises on purpose."""


class SettingError(SimpersonaError):
    """A setting is wrong; the message names its environment variable."""


class FeatureStoreError(SimpersonaError):
    """Root of the errors of the feature store."""


class InvalidEventError(FeatureStoreError):
    """An event breaks the contract. `reason` is bounded (a metric label), `detail` is for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class IdentityKeyError(FeatureStoreError):
    """The key of buyer pseudonyms is missing or unusable."""


class AdapterError(FeatureStoreError):
    """A vendor payload or a mapping file cannot be turned into events."""


class SkippedItemError(AdapterError):
    """An item is no event. `reason` is bounded (a metric label), `detail` is for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class UnmappedEventError(SkippedItemError):
    """An item has an event name that no event type of ours fits; None: it has no name."""

    def __init__(self, name: str | None) -> None:
        super().__init__("unmapped_event", "no event type of ours fits")
        self.name = name


class MappingError(AdapterError):
    """A mapping file is wrong. `detail` is for a person, `keys` lead to the place (table, index, key)."""

    def __init__(self, detail: str, keys: tuple[str | int, ...]) -> None:
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
        super().__init__(f"{place}: {detail}" if place else detail)
        self.detail = detail
        self.keys = keys


class EventSourceError(FeatureStoreError):
    """A file of events cannot be read or written."""


class OutputError(FeatureStoreError):
    """A result cannot be written at its place. No partly written file is left."""


class OnlineStoreError(FeatureStoreError):
    """The online store refused or did not answer."""


class EmptyStoreError(OnlineStoreError):
    """The store answers and has no rows of the topic: no worker has run yet."""


class FencedError(OnlineStoreError):
    """Another worker wrote this partition after us, so our cache is stale."""


class RowVersionError(OnlineStoreError):
    """A stored row has a schema version that this code cannot read."""


class PartitionCountError(OnlineStoreError):
    """The topic's partition count differs from the one the store was filled with."""


class LogError(FeatureStoreError):
    """Root of the errors of Kafka."""


class KafkaConnectionError(LogError):
    """Kafka cannot be reached with these settings."""


class ProducerError(LogError):
    """Messages were not acknowledged."""


class FatalProducerError(LogError):
    """The producer cannot go on in this process."""


class TopicError(LogError):
    """A topic does not exist or cannot be used."""
