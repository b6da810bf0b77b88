"""All records of a partition, in order: history from before the topic, the archive, then the topic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from feature_store.contract.events import record_key
from feature_store.errors import InvalidEventError
from feature_store.history.archive import (
    archive_files,
    archived_calibrations,
    base_batches,
    read_archive_file,
)
from feature_store.log.reader import LogReader
from feature_store.log.records import accept
from ops.verify.expected.log import Record, record_without_event

Wanted = Callable[[bytes | None], bool]
"""A record's key -> whether it is read; None for a record without one."""


def everybody(_key: bytes | None) -> bool:
    """Every record."""
    return True


def log_begins(log: LogReader, topic: str, number: int, archive: Path | None) -> int:
    """The lowest offset of a partition of which anything can still be read."""
    files = [] if archive is None else archive_files(archive, topic, number)
    return files[0].start if files else log.bounds(topic, number)[0]


def read_records(
    log: LogReader, topic: str, number: int, count: int, archive: Path | None, is_wanted: Wanted = everybody
) -> Iterator[list[Record]]:
    """A partition's records in batches. count: the topic's partitions.

    Raises:
        TopicError, EventSourceError: something cannot be read.
    """
    at = 0
    if archive is not None:
        for base in base_batches(archive, topic, number):
            yield [
                Record(-1, event.timestamp, event)
                for event in base
                if is_wanted(record_key(event.store, event.buyer))
            ]
        files = archive_files(archive, topic, number)
        at = files[0].start if files else 0
        for file in files:
            # Each holds from its own offset on, so all of a file may come before its events.
            yield [Record(at, 0, None, calibration=it) for at, it in archived_calibrations(file.path)]
            for batch in read_archive_file(file.path):
                records = []
                for e in batch:
                    if is_wanted(record_key(e.event.store, e.event.buyer)):
                        records.append(Record(e.offset, e.created, e.event, e.offset - at))
                    at = e.offset + 1
                yield records
            if at < file.end:
                yield [Record(file.end - 1, 0, None, file.end - at)]
            at = file.end
    for messages in log.read(topic, number, at):
        yield [_record(message, number, count) for message in messages if is_wanted(message.key())]


def _record(message: Any, number: int, count: int) -> Record:
    created = message.timestamp()[1]
    try:
        event, _ = accept(message.value(), message.key(), number, created, count)
    except InvalidEventError:
        return record_without_event(message, created, number, count)
    return Record(message.offset(), created, event)
