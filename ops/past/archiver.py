"""The archiver of assignments: their topic -> parquet files named by offsets, each assignment once.

Beside that of the clickstream, in the same command. Where it goes on is what the file names say; erased
buyers are taken out of its files.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from filelock import FileLock, Timeout

from feature_store.contract.erasure import Erasure
from feature_store.contract.events import record_key
from feature_store.errors import SimpersonaError, TopicError
from feature_store.history.archive import archive_files, purge
from feature_store.log.erasures import ErasureLog
from feature_store.log.reader import LogReader
from feature_store.log.topics import partition_count
from feature_store.online.assignment import decode_assignment
from ops.past.assignment_archive import (
    ArchivedAssignment,
    reached_in,
    write_assignments,
)

log = structlog.get_logger(__name__)

_TURN_EVERY_S: Final = 30.0


class AssignmentArchiver:
    """Archives every partition of the topic of assignments, up to its present end at each `turn`."""

    def __init__(
        self, config: Mapping[str, Any], topic: str, erasures: ErasureLog, archive: Path, file_events: int
    ) -> None:
        """file_events: most offsets of a file. erasures: of this archiver alone."""
        self._config, self._topic, self._archive = config, topic, archive
        self._erasures, self._file_events = erasures, file_events

    def turn(self, *, is_writing: bool = True) -> int:
        """Take erased buyers out of the files, then write what is new; returns the files written.

        Raises:
            TopicError: Kafka does not answer, another archiver is at work here, or offsets are lost.
            EventSourceError: the archive is not whole.
        """
        self._archive.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._archive / ".lock", timeout=0), LogReader(self._config) as reader:
                self._purge(self._erasures.refresh())
                if not is_writing:
                    return 0
                partitions = range(partition_count(self._config, self._topic))
                return sum(self._write(reader, number) for number in partitions)
        except Timeout:
            raise TopicError(f"another archiver writes to {self._archive}; run one a folder") from None

    def run(
        self, stopping: threading.Event, file_s: float, failed: Callable[[SimpersonaError], None]
    ) -> None:
        """Take a turn every 30 seconds, which writes after `file_s` seconds, until stopped; then a last one.

        failed: called with the error that ends it.
        """
        written = time.monotonic()
        try:
            while not stopping.wait(min(_TURN_EVERY_S, file_s)):
                is_due = time.monotonic() - written >= file_s
                self.turn(is_writing=is_due)
                written = time.monotonic() if is_due else written
            self.turn()
        except SimpersonaError as error:
            failed(error)

    def _purge(self, news: Mapping[bytes, Erasure]) -> None:
        void: dict[int, dict[tuple[str, str], int]] = {}
        for key, erasure in news.items():
            store, _, buyer = key.decode().partition("|")
            void.setdefault(erasure.partition, {})[store, buyer] = erasure.before_offset
        for number, buyers in void.items():
            removed = purge(self._archive, self._topic, number, buyers)
            log.info("assignments_purged", partition=number, buyers=len(buyers), assignments=removed)

    def _write(self, reader: LogReader, number: int) -> int:
        files = archive_files(self._archive, self._topic, number)
        low, high = reader.bounds(self._topic, number)
        start = files[-1].end if files else low
        if start < low or start > high:
            raise TopicError(
                f"the archive of partition {number} of {self._topic} ends at {start}, the topic holds {low} "
                f"to {high}: move {self._archive} away and begin a new one"
            )
        reached, written = reached_in(files[-1].path) if files else -1, 0
        gathered: list[ArchivedAssignment] = []
        at = start
        for messages in reader.read(self._topic, number, start, high):
            for message in messages:
                reached = self._take(message, reached, gathered)
                at = message.offset() + 1
                if at - start >= self._file_events:
                    write_assignments(self._archive, self._topic, number, start, at, gathered, reached)
                    start, gathered, written = at, [], written + 1
        if high > start:
            write_assignments(self._archive, self._topic, number, start, high, gathered, reached)
            written += 1
        return written

    def _take(self, message: Any, reached: int, gathered: list[ArchivedAssignment]) -> int:
        """Gather an assignment; returns how far the clickstream was assigned by then."""
        raw = message.value()
        try:
            a = decode_assignment(raw)
        except msgspec.DecodeError:
            return reached  # `verify` names it
        reached = max(reached, a.offset)
        if a.offset >= self._erasures.void_before(record_key(a.store, a.buyer)):
            gathered.append(ArchivedAssignment(a, message.offset(), reached, raw))
        return reached
