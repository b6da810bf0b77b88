"""The archiver: the clickstream topic -> parquet files named by offsets, each event once.

It has no consumer group: where it goes on is what the file names say. A kill loses at most the file
that was not finished, and the next start reads those offsets again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from confluent_kafka import Message, TopicPartition
from filelock import FileLock, Timeout

from feature_store.contract.calibration import Calibration, calibration_of
from feature_store.contract.erasure import request_of
from feature_store.contract.partitions import partition_of
from feature_store.errors import InvalidEventError, TopicError
from feature_store.history.archive import ArchivedEvent, archive_files, purge, write_archive_file
from feature_store.log.clients import lone_consumer
from feature_store.log.erasures import ErasureLog
from feature_store.log.reader import LogReader, arrived, is_end
from feature_store.log.records import accept
from feature_store.log.topics import partition_count
from streams.erasures.ending import Trimmer

log = structlog.get_logger(__name__)

_BATCH: Final = 2_000
_POLL_S: Final = 0.2
_PURGE_EVERY_S: Final = 30.0


@dataclass
class _Open:
    """The file being gathered of a partition."""

    start: int
    next_offset: int
    since: float = field(default_factory=time.monotonic)
    events: list[ArchivedEvent] = field(default_factory=list)
    calibrations: list[tuple[int, Calibration]] = field(default_factory=list)


class Archiver:
    """Archives every partition of the topic until it is stopped, or up to the present end."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        erasures: ErasureLog,
        trimmer: Trimmer,
        archive: Path,
        file_events: int,
        file_s: float,
    ) -> None:
        """A file is finished after `file_events` offsets or `file_s` seconds, whichever is first."""
        self._config, self._topic, self._archive = dict(config), topic, archive
        self._erasures, self._trimmer = erasures, trimmer
        self._file_events, self._file_s = file_events, file_s
        self._partitions = partition_count(config, topic)
        self._stopping = threading.Event()
        self._open: dict[int, _Open] = {}
        self._next_purge = 0.0
        self._passed: set[bytes] = set()
        """Kafka keys of the requests met in the log since the files were purged."""

    def stop(self) -> None:
        """Finish the open files and return from `run`."""
        self._stopping.set()

    def run(self, *, until_end: bool = False) -> int:
        """Archive until `stop`, or with `until_end` up to where the topic ends now; returns files written.

        Raises:
            TopicError: Kafka does not answer, another archiver is at work here, or offsets are lost.
        """
        self._archive.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._archive / ".lock", timeout=0):
                return self._run(until_end)
        except Timeout:
            raise TopicError(f"another archiver writes to {self._archive}; run one a folder") from None

    def _run(self, until_end: bool) -> int:
        consumer = lone_consumer(self._config, "simpersona-archive")
        written = 0
        try:
            ends = self._begin()
            consumer.assign([TopicPartition(self._topic, n, it.start) for n, it in self._open.items()])
            while not self._stopping.is_set():
                self._honour_erasures()
                for message in arrived(consumer, self._topic, _BATCH, _POLL_S):
                    self._take(message)
                written += self._finish(all_files=False)
                if until_end and all(self._open[p].next_offset >= end for p, end in ends.items()):
                    break
            return written + self._finish(all_files=True)
        finally:
            consumer.close()

    def _begin(self) -> dict[int, int]:
        """Open a file per partition; returns where the partitions end now."""
        with LogReader(self._config) as reader:
            bounds = {number: reader.bounds(self._topic, number) for number in range(self._partitions)}
        for number, (low, high) in bounds.items():
            files = archive_files(self._archive, self._topic, number)
            start = files[-1].end if files else low
            if start < low:
                raise TopicError(
                    f"partition {number} of {self._topic} begins at {low}, the archive ends at {start}: "
                    "the events between are gone; move the archive away and begin a new one"
                )
            if start > high:
                raise TopicError(
                    f"the archive of partition {number} ends at {start}, {self._topic} at {high}: "
                    "the topic was made anew; move the archive away and begin a new one"
                )
            self._open[number] = _Open(start, start)
        return {number: high for number, (_, high) in bounds.items()}

    def _honour_erasures(self) -> None:
        """Take erased buyers out of the files, at the start and then every so often."""
        if time.monotonic() < self._next_purge:
            return
        self._next_purge = time.monotonic() + _PURGE_EVERY_S
        void: dict[int, dict[tuple[str, str], int]] = {}
        for key in {*self._erasures.refresh(), *self._passed} & self._erasures.by_key.keys():
            store, _, buyer = key.decode().partition("|")
            number, before = self._erasures.by_key[key].partition, self._erasures.void_before(key)
            void.setdefault(number, {})[store, buyer] = before
        self._passed.clear()
        for number, buyers in void.items():
            self._finish_partition(number)  # what is gathered of them goes through the files, too
            removed = purge(self._archive, self._topic, number, buyers)
            log.info("archive_purged", partition=number, buyers=len(buyers), events=removed)
        self._trimmer.turn(self._erasures, {number: it.start for number, it in self._open.items()})

    def _take(self, message: Message) -> None:
        gathered = self._open[message.partition()]
        if is_end(message):  # what lies between the last record and here is a hole in the log
            gathered.next_offset = max(gathered.next_offset, message.offset())
            return
        gathered.next_offset = message.offset() + 1
        number, created = message.partition(), message.timestamp()[1]
        try:
            event, key = accept(message.value(), message.key(), number, created, self._partitions)
        except InvalidEventError:
            if (found := calibration_of(message)) is not None:
                gathered.calibrations.append((message.offset(), found))
            self._pass_request(message)
            return  # any other went to the dead letters; the range in the file's name covers it
        if message.offset() >= self._erasures.void_before(key):
            gathered.events.append(ArchivedEvent(event, number, message.offset(), created))

    def _pass_request(self, message: Message) -> None:
        """Know of a request before its topic is read again: who gives consent is archived from here on."""
        key, number, request = message.key(), message.partition(), request_of(message)
        if request is not None and key and partition_of(key, self._partitions) == number:
            self._erasures.add(key, request.at(number, message.offset()))
            self._passed.add(key)

    def _finish(self, *, all_files: bool) -> int:
        written = 0
        for number, gathered in list(self._open.items()):
            size = gathered.next_offset - gathered.start
            old = time.monotonic() - gathered.since >= self._file_s
            if all_files or old or size >= self._file_events:
                written += self._finish_partition(number)
        return written

    def _finish_partition(self, number: int) -> int:
        gathered = self._open[number]
        self._open[number] = _Open(gathered.next_offset, gathered.next_offset)
        if gathered.next_offset == gathered.start:
            return 0
        start, end = gathered.start, gathered.next_offset
        write_archive_file(
            self._archive, self._topic, number, start, end, gathered.events, gathered.calibrations
        )
        log.info("archived", partition=number, offsets=gathered.next_offset - gathered.start)
        return 1
