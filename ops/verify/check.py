"""One partition's store against its log: the whole comparison, without Kafka, archive or a store.

    check = PartitionCheck(number, progress, rules, report, calibrations)   # rows read before the log
    for raw in assignments: check.add_assignment(raw)         # in the topic's order
    check.seal(is_cut=...)
    for batch in records: check.add(batch)                    # from history and the first offset to the end
    check.compare(stored, topic_end)                          # rows, read after the log
    check.found.fixes                                         # what would put it right

Whatever is served has a line in `compare`; a new kind of row adds its own there, and its name to
feature_store.online.stored: a key that nobody expects is a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from feature_store.contract.events import record_key
from feature_store.online.assignment import decode_assignment
from feature_store.online.stored import StoredPartition
from ops.verify.expected.assigned import Assigned
from ops.verify.expected.calibrations import PartitionCalibrations
from ops.verify.expected.consents import PartitionConsents
from ops.verify.expected.fold import PartitionFold
from ops.verify.expected.log import Batch, Rules
from ops.verify.findings import Findings
from ops.verify.report import VerifyReport
from ops.verify.rows.calibrations import compare_calibrations
from ops.verify.rows.headers import Headers
from ops.verify.rows.opt_outs import compare_opt_outs
from ops.verify.rows.personas import Personas
from ops.verify.rows.progress import compare_progress, parse_progress, tagged_by
from ops.verify.rows.sessions import compare_sessions
from ops.verify.rows.states import States
from ops.verify.rows.windows import WindowComparison


class PartitionCheck:
    """Feed it assignments, then records, then the rows; what differs is in `found` and in the report."""

    def __init__(
        self,
        number: int,
        progress: bytes | None,
        rules: Rules,
        report: VerifyReport,
        calibrations: PartitionCalibrations,
    ) -> None:
        """progress, calibrations: as the store had them before the log was read."""
        self.found = Findings(number, report)
        self._number, self._rules, self._report = number, rules, report
        self._calibrations = calibrations
        self._progress = parse_progress(progress, self.found)
        self.assigned = Assigned(self.end)
        self._consents = PartitionConsents(rules.opted_out(number), rules.ended_before, self.end)
        self._fold: PartitionFold | None = None

    @property
    def end(self) -> int:
        """The next offset of the store: records from there on wait to be folded."""
        return 0 if self._progress is None else self._progress.next_offset

    @property
    def fold(self) -> PartitionFold:
        """The offline fold; `seal` makes it."""
        assert self._fold is not None, "seal the assignments first"
        return self._fold

    def add_assignment(self, raw: bytes) -> None:
        """Take a message of the assignments topic; a void one is only held against the log's consents."""
        try:
            a = decode_assignment(raw)
        except msgspec.DecodeError:
            self.found.note("contradicting", "assignment.json", "")
            return
        key = record_key(a.store, a.buyer)
        if self._rules.void_before(key) > a.offset:
            self._consents.add_assignment(key, a.offset)
            return
        if a.codebook_version in self._rules.encoders:
            self._report.assignments += 1
        else:
            self._report.other_version += 1
        self.assigned.add(key, a, raw)

    def seal(self, *, is_cut: bool) -> None:
        """All assignments are added; is_cut: retention has deleted the topic's first ones."""
        self.assigned.seal(is_cut)
        self._fold = PartitionFold(
            self._number,
            self.end,
            self._rules,
            self.assigned,
            self._calibrations,
            self._consents,
            self._report,
        )

    def add(self, batch: Batch) -> None:
        """Take the next records of the clickstream; history from before the topic in batches of its own."""
        self.fold.add(batch)

    def compare(
        self, stored: StoredPartition, topic_end: int, end_now: Callable[[], int] | None = None
    ) -> Findings:
        """Compare all that is kept of the partition.

        topic_end: the next offset of the clickstream when it was read. end_now: asks for it again, for rows
        that a live worker wrote meanwhile.
        """
        fold, rules, found = self.fold, self._rules, self.found
        fold.judge.finish()
        has_tagged = bool((fold.last >= 0).any())
        watermark = fold.watermark
        if rules.whole:
            compare_progress(self._progress, topic_end, watermark, self._highest_watermark(), found)
        if self._progress is not None:
            watermark = self._progress.watermark if rules.erased_before.get(self._number) else watermark
        compare_opt_outs(self._consents, stored.opt_outs, found)
        compare_calibrations(self._calibrations, stored.calibrations, self.end, found)
        headers = Headers(
            fold, self.assigned, tagged_by(stored.codebook, self.assigned, rules.champion, has_tagged, found)
        )
        states = States(fold, headers, lambda key: rules.void_before(key) >= 0, found)
        states.compare(stored.states)
        personas = Personas(fold, self.assigned, headers, states, rules.champion, found)
        personas.compare(stored.personas, end_now or (lambda: topic_end))
        compare_sessions(fold, self.assigned, watermark, stored.open, found)
        if fold.recount is not None and rules.windows is not None:
            fold.recount.finish()
            gone = fold.recount.has_lost and bool(rules.erased_before.get(self._number))
            windows = WindowComparison(fold.recount.found, rules.windows, rules.now_ms, gone, found)
            windows.compare(stored.windows)
        self._compare_names(stored.unexpected)
        writes = stored.persona_writes
        if writes is not None and not writes.isdigit():  # what it counts, only its owner knows
            found.note("partition_rows", "persona-writes.count", "")
        return found

    def _highest_watermark(self) -> int | None:
        """None where somebody was erased: their events may be gone from the log."""
        erased = self._rules.erased_before.get(self._number, 0)
        return None if erased else self.fold.watermark

    def _compare_names(self, unexpected: Iterable[bytes]) -> None:
        for name in unexpected:
            kind = name.partition(b":")[0][:40].decode(errors="replace")
            self.found.note("unexpected", f"key.{kind}", "")
