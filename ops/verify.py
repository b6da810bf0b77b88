"""The oracle: online rows == offline fold of archive and topic together, and no assignment against it.

The offline fold is the same kernel over the same accepted records, but one ordered read from the log
instead of batches, caches, checkpoints and crashes. Compared are bytes, not tolerances. Assignments
are checked at the very offset they name: the code said there must be the code of the state there, and
wherever a code changed it must have been said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from feature_store.archive import archive_files, base_batches, read_archive_file
from feature_store.behavior import ALLOWED_LATENESS_MS
from feature_store.errors import InvalidEventError
from feature_store.events import Event, record_key
from feature_store.history import BuyerKey, History
from feature_store.online import OnlineRows, unpack_row
from inference.assignment import decode_assignment
from inference.encoder import Encoder
from streams.erasures import ErasureLog
from streams.records import LogReader, accept
from streams.topics import partition_count


@dataclass
class VerifyReport:
    """What was compared and what differs; `equal` is the verdict."""

    buyers: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    assignments: int = 0
    contradicting: int = 0
    unsaid: int = 0
    other_version: int = 0
    not_folded: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether every row and every assignment is as the offline fold says, and nothing waits."""
        return not (
            self.different
            or self.missing
            or self.extra
            or self.contradicting
            or self.unsaid
            or self.not_folded
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {"equal": self.equal, **asdict(self)}

    def note(self, kind: str, where: str) -> None:
        """Count a difference; the first few are kept (partition and offset, never a buyer)."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < 10:
            self.examples.append(f"{kind}: {where}")


class Said(NamedTuple):
    """What the assignments topic says of a partition: (buyer, offset) -> code under the encoder's own
    codebook version, and the places where another version spoke."""

    codes: dict[tuple[BuyerKey, int], int]
    other_version: set[tuple[BuyerKey, int]]


class Verifier:
    """Verifies a topic against its store; `archive` may be None where the topic still holds everything."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        assignments_topic: str,
        rows: OnlineRows,
        erasures: ErasureLog,
        encoder: Encoder,
        archive: Path | None,
        allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
    ) -> None:
        self._allowed_lateness_ms = allowed_lateness_ms
        self._config, self._topic, self._assignments_topic = config, topic, assignments_topic
        self._rows, self._erasures, self._encoder, self._archive = rows, erasures, encoder, archive

    def run(self) -> VerifyReport:
        """Compare everything that the store says it has folded.

        Raises:
            TopicError, EventSourceError, OnlineStoreError: something cannot be read.
        """
        report = VerifyReport()
        self._erasures.refresh()
        count = partition_count(self._config, self._topic)
        with LogReader(self._config) as log:
            self._verify(log, count, report)
        return report

    def _verify(self, log: LogReader, count: int, report: VerifyReport) -> None:
        self._rows.claim_partition_count(count)
        for number, progress in self._rows.progress_of(list(range(count))).items():
            end = 0 if progress is None else progress.next_offset
            said = self._read_assignments(log, number, report)
            replay = _Replay(self._encoder, said, report, self._allowed_lateness_ms)
            for batch in self._history(log, number, end, count):
                replay.add(batch)
            replay.finish()
            self._compare_rows(number, replay, report)
            report.not_folded += sum(len(batch) for batch in log.read(self._topic, number, end))

    def _history(
        self, log: LogReader, number: int, end: int, count: int
    ) -> Iterator[list[tuple[Event, int]]]:
        """Accepted, not erased events of [0, end) with their offsets: the archive's, then the topic's."""
        at = 0
        if self._archive is not None:
            for base in base_batches(self._archive, self._topic, number):
                yield [(event, -1) for event in base if not self._is_void(event, -1)]
        for file in archive_files(self._archive, self._topic, number) if self._archive else []:
            for batch in read_archive_file(file.path):
                yield [
                    (e.event, e.offset)
                    for e in batch
                    if e.offset < end and not self._is_void(e.event, e.offset)
                ]
            at = file.end
        for messages in log.read(self._topic, number, at, end):
            batch_out = []
            for message in messages:
                created = message.timestamp()[1]
                try:
                    event, _ = accept(message.value(), message.key(), number, created, count)
                except InvalidEventError:
                    continue
                if not self._is_void(event, message.offset()):
                    batch_out.append((event, message.offset()))
            yield batch_out

    def _is_void(self, event: Event, offset: int) -> bool:
        if not self._erasures.by_key:
            return False
        return offset < self._erasures.void_before(record_key(event.store, event.buyer))

    def _read_assignments(self, log: LogReader, number: int, report: VerifyReport) -> Said:
        said = Said({}, set())
        for messages in log.read(self._assignments_topic, number):
            for message in messages:
                a = decode_assignment(message.value())
                place = ((a.store, a.buyer), a.offset)
                if self._erasures.void_before(record_key(a.store, a.buyer)) > a.offset:
                    continue
                if a.codebook_version != self._encoder.codebook_version:
                    report.other_version += 1
                    said.other_version.add(place)
                    continue
                report.assignments += 1
                before = said.codes.setdefault(place, a.code)
                if before != a.code:
                    where = f"partition {number} offset {a.offset}"
                    report.note("contradicting", f"{where}: both {before} and {a.code} were said")
        return said

    def _compare_rows(self, number: int, replay: _Replay, report: VerifyReport) -> None:
        expected = replay.history.states()
        report.buyers += len(expected)
        for key, row in self._rows.all_states(number):
            store, _, buyer = key.decode().partition("|")
            header, state = unpack_row(row)
            wanted = expected.pop((store, buyer), None)
            where = f"partition {number} offset {header.last_offset}"
            if wanted is None:
                report.note("extra", where)
            elif wanted != state or header.last_offset != replay.last_offset[store, buyer]:
                report.note("different", where)
        for buyer_key in expected:
            report.note("missing", f"partition {number} offset {replay.last_offset[buyer_key]}")


class _Replay:
    """The offline fold of one partition, and with it what should have been said, event by event."""

    def __init__(self, encoder: Encoder, said: Said, report: VerifyReport, allowed_lateness_ms: int) -> None:
        self.history = History(allowed_lateness_ms=allowed_lateness_ms)
        self.last_offset: dict[BuyerKey, int] = {}
        self._encoder, self._said, self._report = encoder, said, report
        self._code: dict[BuyerKey, int] = {}

    def add(self, events: list[tuple[Event, int]]) -> None:
        """Fold events with their offsets (-1: from before the topic, nothing was said of them)."""
        if not events:
            return
        steps = self.history.add_each([event for event, _ in events])
        codes = self._encoder.encode(steps.vectors).code.tolist()
        for place, code in zip(steps.places.tolist(), codes, strict=True):
            event, offset = events[place]
            key = (event.store, event.buyer)
            self.last_offset[key] = offset
            if offset >= 0:
                self._check(key, offset, code)

    def finish(self) -> None:
        """What was said at offsets that changed no state was said of nothing."""
        for _, offset in self._said.codes:
            self._report.note("contradicting", f"offset {offset}: no event of the buyer counts there")

    def _check(self, key: BuyerKey, offset: int, code: int) -> None:
        said = self._said.codes.pop((key, offset), None)
        if said is not None and said != code:
            self._report.note("contradicting", f"offset {offset}: said {said}, the state's code is {code}")
        changed = self._code.get(key) != code
        if changed and said is None and (key, offset) not in self._said.other_version:
            self._report.note("unsaid", f"offset {offset}: the code became {code}")
        self._code[key] = code
