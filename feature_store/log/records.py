"""Records of the clickstream topic: which are accepted."""

from __future__ import annotations

from feature_store.contract.events import (
    DeadLetterReason,
    Event,
    check_clock,
    check_record_size,
    decode_event,
    record_key,
)
from feature_store.contract.partitions import partition_of
from feature_store.errors import InvalidEventError


def accept(
    raw: bytes | None, raw_key: bytes | None, partition: int, create_time: int, partition_count: int
) -> tuple[Event, bytes]:
    """Decode and validate a record; returns the event and its key, store|buyer.

    Every reader of the topic comes through here: one truth about what counts. create_time in ms.

    Raises:
        InvalidEventError: with the reason and detail of the dead letter.
    """
    if raw is not None:
        check_record_size(len(raw))
    event = decode_event(raw)
    check_clock(event, create_time)
    key = record_key(event.store, event.buyer)
    if key != raw_key:
        raise InvalidEventError(
            DeadLetterReason.KEY_MISMATCH, "the record's key is not store|buyer of its own event"
        )
    expected = partition_of(key, partition_count)
    if partition != expected:
        raise InvalidEventError(
            DeadLetterReason.WRONG_PARTITION,
            f"murmur2 puts this key into partition {expected}: set the producer's partitioner to murmur2",
        )
    return event, key
