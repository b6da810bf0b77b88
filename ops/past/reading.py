"""What the log has of one buyer: events and calibrations of the clickstream, and assignments.

From the archives first, which are searched by their columns, then from the topics, where only the part after
the archives is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from feature_store.contract.calibration import calibration_of
from feature_store.errors import InvalidEventError
from feature_store.history.archive import (
    archive_files,
    archived_calibrations,
    archived_events_of,
    base_file,
)
from feature_store.log.reader import LogReader
from feature_store.log.records import accept
from inference.calibration.in_force import InForce
from ops.errors import MomentError, PastError
from ops.past.assignment_archive import archived_assignments
from ops.past.moment import Moment
from ops.past.replay import Placed
from ops.past.statements import Statements


class Sources(NamedTuple):
    """Where an installation keeps its log. stored_calibrations: a partition's rows in the online store, for
    those that are older than the log. most_records: read no more from the topics; None: no bound."""

    kafka: Mapping[str, Any]
    topic: str
    assignments_topic: str
    archive: Path
    assignments_archive: Path
    stored_calibrations: Callable[[int], Mapping[bytes, bytes]]
    most_records: int | None = None


@dataclass
class BuyerLog:
    """What can be read of one buyer, without what was erased.

    begins: the lowest offset of the clickstream that can be read. assignments_begin: the same of the
    assignments' topic. end: the clickstream's next offset.
    """

    key: bytes
    partition: int
    statements: Statements
    begins: int
    end: int
    assignments_begin: int
    events: list[Placed] = field(default_factory=list)
    calibrations: InForce = field(default_factory=InForce)


def read_buyer(
    sources: Sources, key: bytes, partition: int, partitions: int, void_before: int, moment: Moment
) -> BuyerLog:
    """Read what the log has of a buyer (Kafka key) in their partition, of `partitions`.

    void_before: events and assignments below this offset were erased; -1: none was.

    Raises:
        MomentError: the moment lies behind the end of the log, or in another partition.
        PastError: more would have to be read than may.
        TopicError, EventSourceError, OnlineStoreError: something cannot be read.
    """
    with LogReader(sources.kafka) as log:
        low, end = log.bounds(sources.topic, partition)
        _check(moment, partition, end)
        files = archive_files(sources.archive, sources.topic, partition)
        begins = files[0].start if files else low
        assigned_low, assigned_end = log.bounds(sources.assignments_topic, partition)
        found = BuyerLog(key, partition, Statements(key, void_before), begins, end, assigned_low)
        assigned_from = _read_archived_assignments(sources, found, assigned_low)
        events_from = max(files[-1].end if files else low, low)
        _check_work(sources, end - events_from + assigned_end - assigned_from)
        for messages in log.read(sources.assignments_topic, partition, assigned_from, assigned_end):
            for message in messages:
                found.statements.add(message.key(), message.value())
        for offset, calibration in _stored(sources, partition, begins):
            found.calibrations.add(offset, calibration)
        _read_archive(sources, found, void_before)
        for messages in log.read(sources.topic, partition, events_from, end):
            for message in messages:
                _take(found, message, partitions, void_before)
    return found


def _check(moment: Moment, partition: int, end: int) -> None:
    if moment.offset is None:
        return
    if moment.partition != partition:
        raise MomentError(f"this buyer's events are in partition {partition}, not {moment.partition}")
    if moment.offset >= end:
        raise MomentError(
            f"offset {moment.offset} of partition {partition} is in the future: the partition ends at {end}"
        )


def _check_work(sources: Sources, records: int) -> None:
    if sources.most_records is not None and records > sources.most_records:
        raise PastError(
            f"{records} records of the topics would have to be read, {sources.most_records} may be: let "
            "`simpersona archive` run, which makes them searchable, or ask with `simpersona as-of`"
        )


def _read_archived_assignments(sources: Sources, found: BuyerLog, low: int) -> int:
    """Take what is archived; returns where to go on on the topic."""
    at = low
    for file in archive_files(sources.assignments_archive, sources.assignments_topic, found.partition):
        found.assignments_begin = min(found.assignments_begin, file.start)
        for one in archived_assignments(file.path, found.key):
            found.statements.keep(one.assignment, one.since, one.raw)
        at = max(at, file.end)
    return at


def _stored(sources: Sources, partition: int, begins: int) -> list[tuple[int, Any]]:
    rows = InForce.of_rows(sources.stored_calibrations(partition))
    return [(offset, calibration) for offset, calibration in rows if offset < begins]


def _read_archive(sources: Sources, found: BuyerLog, void_before: int) -> None:
    store, _, buyer = found.key.decode().partition("|")
    base = base_file(sources.archive, sources.topic, found.partition)
    files = archive_files(sources.archive, sources.topic, found.partition)
    for path in ([] if base is None else [base]) + [file.path for file in files]:
        for one in archived_events_of(path, store, buyer):
            if one.offset >= void_before:
                found.events.append(Placed(one.offset, one.event))
    for file in files:
        for offset, calibration in archived_calibrations(file.path):
            found.calibrations.add(offset, calibration)


def _take(found: BuyerLog, message: Any, partitions: int, void_before: int) -> None:
    if message.key() is None and (calibration := calibration_of(message)) is not None:
        found.calibrations.add(message.offset(), calibration)
    if message.key() != found.key or message.offset() < void_before:
        return
    try:
        created = message.timestamp()[1]
        event, _ = accept(message.value(), message.key(), found.partition, created, partitions)
    except InvalidEventError:
        return  # refused by the workers, too
    found.events.append(Placed(message.offset(), event))
