"""The oracle: online rows == offline fold of archive and topic together, and no assignment against it.

The offline fold is the same kernel over the same accepted records, but one ordered read from the log
instead of batches, caches, checkpoints and crashes. Compared are bytes, not tolerances. Assignments
are checked at the very offset they name: the code and type said there must be those of the state there,
and wherever one changed it must have been said. Each word is held against the bundle of its own codebook
version, so a swap between two events is no contradiction. The persona rows must be those of the last state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event, record_key
from feature_store.errors import InvalidEventError
from feature_store.fold.behavior import ALLOWED_LATENESS_MS
from feature_store.history.archive import archive_files, base_batches, read_archive_file
from feature_store.history.offline_fold import BuyerKey, History
from feature_store.log.erasures import ErasureLog
from feature_store.log.records import LogReader, accept
from feature_store.log.topics import partition_count
from feature_store.online.assignment import decode_assignment
from feature_store.online.encoding import unpack_row
from feature_store.online.rows import OnlineRows
from inference.encoders.encoder import Encoder
from ops.said import Persona, Said


@dataclass
class VerifyReport:
    """What was compared and what differs; `equal` is the verdict.

    stale: persona rows that are not of the buyer's last state. Counted and no difference: other_version,
    assignments of versions whose bundle is not known; awaiting_swap, personas of another version than
    the champion's; not_judged, events of which nothing is said any more because retention cut the topic.
    """

    buyers: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    assignments: int = 0
    contradicting: int = 0
    unsaid: int = 0
    other_version: int = 0
    not_folded: int = 0
    personas: int = 0
    stale: int = 0
    awaiting_swap: int = 0
    not_judged: int = 0
    notes: list[str] = field(default_factory=list)
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
            or self.stale
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


class Verifier:
    """Verifies a topic against its store; `archive` may be None where the topic still holds everything."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        assignments_topic: str,
        rows: OnlineRows,
        erasures: ErasureLog,
        encoders: Sequence[Encoder],
        archive: Path | None,
        allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
    ) -> None:
        """`encoders`: the champion, then others whose words are to be judged."""
        self._allowed_lateness_ms = allowed_lateness_ms
        self._config, self._topic, self._assignments_topic = config, topic, assignments_topic
        self._rows, self._erasures, self._archive = rows, erasures, archive
        self._champion = encoders[0].codebook_version
        self._encoders = {encoder.codebook_version: encoder for encoder in reversed(encoders)}

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
            spoke = {*said.versions, self._champion} & self._encoders.keys()
            known = {version: self._encoders[version] for version in spoke}
            replay = _Replay(known, said, report, self._allowed_lateness_ms)
            for batch in self._history(log, number, end, count):
                replay.add(batch)
            replay.finish(end)
            buyers = set(replay.history.buyers)
            self._compare_rows(number, replay, report)
            self._compare_personas(number, end, buyers, replay, report)
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
        said = Said()
        for messages in log.read(self._assignments_topic, number):
            for message in messages:
                a = decode_assignment(message.value())
                if self._erasures.void_before(record_key(a.store, a.buyer)) > a.offset:
                    continue
                if a.codebook_version in self._encoders:
                    report.assignments += 1
                else:
                    report.other_version += 1
                before = said.add(a)
                if before is not None:
                    where = f"partition {number} offset {a.offset}"
                    report.note("contradicting", f"{where}: both {before.code} and {a.code} were said")
        first, _ = log.bounds(self._assignments_topic, number)
        said.seal(is_cut=first > 0)
        if first > 0:
            report.notes.append(
                f"partition {number} of {self._assignments_topic} begins at {first}: retention deleted what "
                f"was said before; changes before offset {said.judged_from} of {self._topic} are not judged"
            )
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

    def _compare_personas(
        self, number: int, end: int, buyers: set[BuyerKey], replay: _Replay, report: VerifyReport
    ) -> None:
        """The persona row of everybody must be what their last state is; nobody else may have one."""
        for _, row in self._rows.all_personas(number):
            a = decode_assignment(row)
            buyer, where = (a.store, a.buyer), f"partition {number} offset {a.offset}"
            if a.offset >= end:
                continue  # said of what no checkpoint holds yet; such records count as not folded
            if buyer not in buyers:
                report.note("extra", f"{where}: a persona of nobody")
                continue
            report.personas += 1
            report.awaiting_swap += a.codebook_version != self._champion
            last = replay.last_word(buyer, a.codebook_version)
            if last is not None and last != Persona(a.code, a.type):
                report.note("stale", f"{where}: the row says {a.code}, the last state's code is {last.code}")


class _Replay:
    """The offline fold of one partition, and with it what should have been said, event by event."""

    def __init__(
        self, encoders: Mapping[str, Encoder], said: Said, report: VerifyReport, allowed_lateness_ms: int
    ) -> None:
        self.history = History(allowed_lateness_ms=allowed_lateness_ms)
        self.last_offset: dict[BuyerKey, int] = {}
        self._encoders, self._said, self._report = encoders, said, report
        self._last: dict[BuyerKey, dict[str, Persona]] = {}

    def add(self, events: list[tuple[Event, int]]) -> None:
        """Fold events with their offsets (-1: from before the topic, nothing was said of them)."""
        if not events:
            return
        steps = self.history.add_each([event for event, _ in events])
        personas = {version: _personas(encoder, steps.vectors) for version, encoder in self._encoders.items()}
        for i, place in enumerate(steps.places.tolist()):
            event, offset = events[place]
            key = (event.store, event.buyer)
            self.last_offset[key] = offset
            if offset >= 0:
                self._check(key, offset, {version: said[i] for version, said in personas.items()})

    def finish(self, end: int) -> None:
        """What was said at offsets that changed no state was said of nothing."""
        for (_, offset), words in self._said.words.items():
            if offset < end and words.keys() & self._encoders.keys():
                self._report.note("contradicting", f"offset {offset}: no event of the buyer counts there")

    def last_word(self, key: BuyerKey, version: str) -> Persona | None:
        """What the bundle of a version says of the buyer's last state; None where it is not known."""
        return self._last.get(key, {}).get(version)

    def _check(self, key: BuyerKey, offset: int, now: dict[str, Persona]) -> None:
        words = self._said.words.pop((key, offset), {})
        for version, said in words.items():
            if version in now and said != now[version]:
                self._report.note(
                    "contradicting",
                    f"offset {offset}: said {said.code}, the state's code is {now[version].code}",
                )
        before, self._last[key] = self._last.get(key, {}), now
        if words:
            return
        if offset < self._said.judged_from:
            self._report.not_judged += 1
            return
        in_force = self._said.in_force(offset) or now.keys()
        if all(version in now and before.get(version) != now[version] for version in in_force):
            codes = sorted({persona.code for persona in now.values()})
            self._report.note("unsaid", f"offset {offset}: the code or type changed, to {codes}")


def _personas(encoder: Encoder, vectors: NDArray[np.float32]) -> list[Persona]:
    encoding = encoder.encode(vectors)
    types = (*encoder.types, None)  # index -1, no type, is the last
    return [
        Persona(code, types[kind])
        for code, kind in zip(encoding.code.tolist(), encoding.type.tolist(), strict=True)
    ]
