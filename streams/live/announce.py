"""Saying personas: assignments on Kafka, and persona rows that are readable at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.log.producer import Output
from feature_store.online.assignment import Assignment, Reason, encode_assignment, token, version_mark
from feature_store.online.fence import Persona
from feature_store.online.rows import OnlineRows
from inference.encoders.encoder import Encoder, Encoding
from streams.live.cache import BuyerCache
from streams.live.clock import Clock
from streams.live.partition import Partition
from streams.metrics import WorkerMetrics


class ToAssign(NamedTuple):
    """Assignments to send, one entry each: slot, offset of the record after which it holds, the buyer's
    events and latest event time (ms) then (all int64), and the encoding."""

    slots: NDArray[np.int64]
    offsets: NDArray[np.int64]
    events: NDArray[np.int64]
    event_times: NDArray[np.int64]
    encoding: Encoding


class Announcer:
    """Sends assignments of buyers in the cache."""

    def __init__(
        self,
        cache: BuyerCache,
        output: Output,
        topic: str,
        rows: OnlineRows,
        metrics: WorkerMetrics,
        clock: Clock,
    ) -> None:
        self._cache, self._output, self._topic = cache, output, topic
        self._rows, self._metrics, self._clock = rows, metrics, clock

    def assign(
        self, encoder: Encoder, owned: Mapping[int, Partition], to_assign: ToAssign, reasons: Sequence[Reason]
    ) -> None:
        """Make personas of cached buyers readable, and send them.

        In this order: the store's fence stops who no longer owns a partition before they send anything.

        Raises:
            ProducerError, OnlineStoreError: see Tagger.tag.
        """
        now, version, types = self._clock.now_ms(), encoder.codebook_version, encoder.types
        partitions = self._cache.partitions(to_assign.slots).tolist()
        assignments: list[tuple[bytes, bytes]] = []
        readable: dict[int, dict[bytes, Persona]] = {}
        columns_ = (
            to_assign.slots,
            to_assign.offsets,
            to_assign.events,
            to_assign.event_times,
            *to_assign.encoding,
        )
        for number, reason, row in zip(
            partitions, reasons, zip(*(column.tolist() for column in columns_), strict=True), strict=True
        ):
            slot, offset, events, event_time, code, distance, margin, kind, confidence, forecast, chance = row
            key = self._cache.keys[slot]
            store, _, buyer = key.decode().partition("|")
            body = encode_assignment(
                Assignment(
                    store=store,
                    buyer=buyer,
                    code=code,
                    token=token(code),
                    type=types[kind] if kind >= 0 else None,
                    confidence=None if math.isnan(confidence) else confidence,
                    forecast=types[forecast] if forecast >= 0 else None,
                    forecast_probability=None if math.isnan(chance) else chance,
                    distance=distance,
                    margin=margin,
                    codebook_version=version,
                    events=events,
                    reason=reason,
                    event_time=event_time,
                    assigned_at=now,
                    partition=number,
                    offset=offset,
                )
            )
            assignments.append((key, body))
            if reason != "session_end":  # which repeats what is readable already
                readable.setdefault(number, {})[key] = Persona(key, offset, body)
        if readable:
            writes = self._rows.write_personas(
                {number: list(rows.values()) for number, rows in readable.items()},
                same_version=version_mark(version),
                expected={
                    number: (owned[number].written, owned[number].persona_writes) for number in readable
                },
            )
            for number, count in writes.items():
                owned[number].persona_writes = count
        for key, body in assignments:
            self._output.send(self._topic, key, body)
        for reason, count in Counter(reasons).items():
            self._metrics.assignments.labels(reason).inc(count)
