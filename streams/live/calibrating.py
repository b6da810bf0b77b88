"""Calibrations where the log says so: each holds from its own place in the partition on (docs/adr/0058)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from confluent_kafka import Message

from feature_store.contract.calibration import Calibration, calibration_of
from inference.calibration.in_force import row_of
from streams.live.partition import Partition
from streams.metrics import WorkerMetrics

log = structlog.get_logger(__name__)


def take_calibrations(
    partitions: Mapping[int, Partition], messages: Sequence[Message], metrics: WorkerMetrics
) -> list[Message]:
    """Take the calibrations among records of owned partitions; returns the other records.

    The next checkpoint writes them in the transaction that passes them.
    """
    rest = []
    for message in messages:
        found = calibration_of(message) if message.value() is None else None
        if found is None:
            rest.append(message)
            continue
        partition = partitions[message.partition()]
        partition.calibrations.add(message.offset(), found)
        field, row = row_of(message.offset(), found)
        partition.unwritten[field] = row
        metrics.calibrations.inc()
        log.info(
            "calibration_holds",
            partition=partition.number,
            offset=message.offset(),
            store=found.store,
            version=found.codebook_version,
            calibration=found.calibration_id,
            holds=found.holds,
        )
    return rest


def in_force(
    partitions: Mapping[int, Partition],
    version: str,
    stores: Sequence[str],
    numbers: Sequence[int],
    offsets: Sequence[int],
) -> list[Calibration | None] | None:
    """The calibration of a codebook version that holds for each event, by its store, partition and offset.

    None where there is none at all.
    """
    if not any(partitions[number].calibrations for number in set(numbers)):
        return None
    return [
        partitions[number].calibrations.at(store, version, offset)
        for store, number, offset in zip(stores, numbers, offsets, strict=True)
    ]
