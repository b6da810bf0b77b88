"""What verification reads of one partition's log, whoever reads it: Kafka and archive, or a simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from feature_store.contract.calibration import Calibration, calibration_of
from feature_store.contract.erasure import ErasureRequest, request_of
from feature_store.contract.events import Event
from feature_store.contract.partitions import partition_of
from feature_store.fold.behavior import ALLOWED_LATENESS_MS
from inference.counts.windows import WindowSettings
from inference.encoders.encoder import Encoder


class Record(NamedTuple):
    """A record of the clickstream: its offset (-1: history from before the topic) and CreateTime (ms).

    event is None where the record was refused, or is a request to erase a buyer. lost: so many offsets before
    this record, or up to it where there is no event, are not in the archive: refused, erased, requests, or
    markers of transactions. key: of a record on the topic without an event. request: the record is one, to
    erase that buyer. calibration: the record is one.
    """

    offset: int
    created: int
    event: Event | None
    lost: int = 0
    calibration: Calibration | None = None
    key: bytes | None = None
    request: ErasureRequest | None = None


def record_without_event(message: Any, created: int, number: int, partitions: int) -> Record:
    """A record of the topic that is no event. message: a confluent_kafka.Message."""
    key, request = message.key(), request_of(message)
    if not key or partition_of(key, partitions) != number:
        request = None  # workers refuse it
    return Record(message.offset(), created, None, 0, calibration_of(message), key, request)


@dataclass(frozen=True)
class Rules:
    """What holds for all partitions.

    encoders: by codebook version, those whose assignments are recomputed; champion: the version that answers
    now. void_before: Kafka key -> offset below which the buyer's events are void, -1 for nobody's erasure.
    opted_out: partition -> who has opted out -> the offset after their last request. ended_before: Kafka key
    -> that offset of anybody, -1 for who was never erased. windows: how live traffic is counted; None leaves
    the counts out. now_ms: wall clock, for what has expired.
    erased_before: partition -> highest offset that an erasure of its buyers voids. whole: False where the log
    was filtered to a sample of the buyers, so that watermark and counts cannot be known.
    """

    encoders: Mapping[str, Encoder]
    champion: str
    void_before: Callable[[bytes], int]
    opted_out: Callable[[int], Mapping[bytes, int]]
    ended_before: Callable[[bytes], int]
    windows: WindowSettings | None
    now_ms: int
    erased_before: Mapping[int, int] = field(default_factory=dict)
    allowed_lateness_ms: int = ALLOWED_LATENESS_MS
    whole: bool = True


Batch = Sequence[Record]
