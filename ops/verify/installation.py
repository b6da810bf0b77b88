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

from feature_store.fold.behavior import ALLOWED_LATENESS_MS
from feature_store.log.erasures import ErasureLog
from feature_store.log.reader import LogReader
from feature_store.log.topics import partition_count
from feature_store.online.rows import OnlineRows
from inference.api.access.key_log import KeyLog
from inference.counts.windows import WindowSettings
from inference.encoders.encoder import Encoder
from ops.verify.check import PartitionCheck
from ops.verify.expected.calibrations import PartitionCalibrations
from ops.verify.expected.log import Rules
from ops.verify.findings import Findings
from ops.verify.records import log_begins, read_records
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
            opted_out=self._opted_out,
            ended_before=self._erasures.ended_before,
            windows=self._windows,
            now_ms=time.time_ns() // 1_000_000,
            erased_before=erased_before,
            allowed_lateness_ms=self._lateness,
            whole=self._sample is None,
        )

    def _opted_out(self, number: int) -> dict[bytes, int]:
        found = self._erasures.opted_out(number)
        return {key: border for key, border in found.items() if self._is_wanted(key)}

    def _compare_count(self, count: int, report: VerifyReport) -> None:
        known = self._rows.stored_partition_count()
        if known != b"%d" % count:
            what = "no row" if known is None else f"{known[:20]!r}"
            report.note("partition_rows", "partitions.count", f"the topic has {count}, the store {what}")

    def _verify(
        self, log: LogReader, number: int, count: int, rules: Rules, report: VerifyReport
    ) -> Findings:
        progress = self._rows.stored_progress(number)
        calibrations = PartitionCalibrations(
            self._rows.stored_calibrations(number), log_begins(log, self._topic, number, self._archive)
        )
        check = PartitionCheck(number, progress, rules, report, calibrations)
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
        for batch in read_records(log, self._topic, number, count, self._archive, self._is_wanted):
            check.add(batch)
        wanted = None if self._sample is None else self._sample.__contains__
        with self._rows.answers():
            stored = self._rows.stored(number, wanted)
            found = check.compare(stored, topic_end, lambda: log.bounds(self._topic, number)[1])
        if check.end and self._rows.stored_progress(number) != stored.progress:
            report.notes.append(f"partition {number} was written while it was compared: verify it again")
        return found

    def _is_wanted(self, key: bytes | None) -> bool:
        """A record without a key is nobody's: a calibration, or refused."""
        return self._sample is None or key is None or key in self._sample
