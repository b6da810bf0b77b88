"""Verification of an installation: its topics, archive and store, read partition by partition.

What is compared, and how, is ops.verify.check; here it is only fetched.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from feature_store.contract.erasure import request_of
from feature_store.contract.events import record_key
from feature_store.errors import InvalidEventError
from feature_store.fold.behavior import ALLOWED_LATENESS_MS
from feature_store.history.archive import archive_files, base_batches, read_archive_file
from feature_store.log.erasures import ErasureLog
from feature_store.log.reader import LogReader
from feature_store.log.records import accept
from feature_store.log.topics import partition_count
from feature_store.online.rows import OnlineRows
from inference.api.access.key_log import KeyLog
from inference.counts.windows import WindowSettings
from inference.encoders.encoder import Encoder
from ops.verify.check import PartitionCheck
from ops.verify.expected.log import Record, Rules
from ops.verify.findings import Findings
from ops.verify.report import VerifyReport
from ops.verify.rows.api_keys import INDEX, RECORDS, compare_api_keys


@dataclass(frozen=True)
class Sample:
    """Which buyers to compare: a share of them, by the hash of their key and a seed."""

    share: float
    seed: int = 0

    def __contains__(self, key: object) -> bool:
        assert isinstance(key, bytes)
        return xxhash.xxh64_intdigest(key, self.seed) < self.share * 2**64


class Verifier:
    """Verifies a topic against its store; `archive` may be None where the topic still holds everything."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        assignments_topic: str,
        rows: OnlineRows,
        erasures: ErasureLog,
        keys: KeyLog,
        encoders: Sequence[Encoder],
        archive: Path | None,
        allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
        windows: WindowSettings | None = None,
        sample: Sample | None = None,
    ) -> None:
        """`encoders`: the champion, then others whose assignments are to be judged.

        windows: how the workers count live traffic; None leaves the counts out.
        """
        self._lateness, self._windows, self._sample = allowed_lateness_ms, windows, sample
        self._config, self._topic, self._assignments_topic = config, topic, assignments_topic
        self._rows, self._erasures, self._keys, self._archive = rows, erasures, keys, archive
        self._champion = encoders[0].codebook_version
        self._encoders = {encoder.codebook_version: encoder for encoder in reversed(encoders)}

    def run(self) -> VerifyReport:
        """Compare everything that the store says it has folded.

        Raises:
            TopicError, EventSourceError, OnlineStoreError: something cannot be read.
        """
        report = VerifyReport(sample=1.0 if self._sample is None else self._sample.share)
        for _ in self.partitions(report):
            pass
        return report

    def partitions(self, report: VerifyReport) -> Iterator[Findings]:
        """Compare partition by partition, counting into a report; yields what was found in each.

        Raises:
            TopicError, EventSourceError, OnlineStoreError: something cannot be read.
        """
        self._erasures.refresh()
        count = partition_count(self._config, self._topic)
        self._compare_count(count, report)
        stored, on_topic = self._rows.named(RECORDS), self._keys.read().by_id
        compare_api_keys(stored, self._rows.members(INDEX), on_topic, time.time_ns() // 1_000_000, report)
        rules = self._rules()
        with LogReader(self._config) as log:
            for number in range(count):
                yield self._verify(log, number, count, rules, report)

    def _rules(self) -> Rules:
        erased_before: dict[int, int] = defaultdict(int)
        for erasure in self._erasures.by_key.values():
            before = max(erased_before[erasure.partition], erasure.before_offset)
            erased_before[erasure.partition] = before
        return Rules(
            encoders=self._encoders,
            champion=self._champion,
            void_before=self._erasures.void_before,
            windows=self._windows,
            now_ms=time.time_ns() // 1_000_000,
            erased_before=erased_before,
            allowed_lateness_ms=self._lateness,
            whole=self._sample is None,
        )

    def _compare_count(self, count: int, report: VerifyReport) -> None:
        known = self._rows.stored_partition_count()
        if known != b"%d" % count:
            what = "no row" if known is None else f"{known[:20]!r}"
            report.note("partition_rows", "partitions.count", f"the topic has {count}, the store {what}")

    def _verify(
        self, log: LogReader, number: int, count: int, rules: Rules, report: VerifyReport
    ) -> Findings:
        check = PartitionCheck(number, self._rows.stored_progress(number), rules, report)
        first, _ = log.bounds(self._assignments_topic, number)
        for messages in log.read(self._assignments_topic, number):
            for message in messages:
                if self._is_wanted(message.key()):
                    check.add_assignment(message.value())
        check.seal(is_cut=first > 0)
        if first > 0:
            report.notes.append(
                f"partition {number} of {self._assignments_topic} begins at {first}: retention deleted what "
                f"was assigned before; changes before offset {check.assigned.judged_from} of {self._topic} "
                "are not judged"
            )
        _, topic_end = log.bounds(self._topic, number)
        for batch in self._records(log, number, count):
            check.add(batch)
        wanted = None if self._sample is None else self._sample.__contains__
        with self._rows.answers():
            stored = self._rows.stored(number, wanted)
            found = check.compare(stored, topic_end, lambda: log.bounds(self._topic, number)[1])
        if check.end and self._rows.stored_progress(number) != stored.progress:
            report.notes.append(f"partition {number} was written while it was compared: verify it again")
        return found

    def _records(self, log: LogReader, number: int, count: int) -> Iterator[list[Record]]:
        """History from before the topic, then the archive's events, then the topic's records."""
        at = 0
        if self._archive is not None:
            for base in base_batches(self._archive, self._topic, number):
                yield [
                    Record(-1, event.timestamp, event)
                    for event in base
                    if self._is_wanted(record_key(event.store, event.buyer))
                ]
            files = archive_files(self._archive, self._topic, number)
            at = files[0].start if files else 0
            for file in files:
                for batch in read_archive_file(file.path):
                    records = []
                    for e in batch:
                        if self._is_wanted(record_key(e.event.store, e.event.buyer)):
                            records.append(Record(e.offset, e.created, e.event, e.offset - at))
                        at = e.offset + 1
                    yield records
                if at < file.end:
                    yield [Record(file.end - 1, 0, None, file.end - at)]
                at = file.end
        for messages in log.read(self._topic, number, at):
            yield [_record(message, number, count) for message in messages if self._is_wanted(message.key())]

    def _is_wanted(self, key: bytes | None) -> bool:
        return self._sample is None or (key is not None and key in self._sample)


def _record(message: Any, number: int, count: int) -> Record:
    created = message.timestamp()[1]
    try:
        event, _ = accept(message.value(), message.key(), number, created, count)
    except InvalidEventError:
        return Record(message.offset(), created, None, is_request=request_of(message) is not None)
    return Record(message.offset(), created, event)
