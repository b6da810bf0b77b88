"""The real live path without Kafka: tagger, checkpoint, takeover and swap over lists, and a real Valkey.

A store and a log that belong together in a fraction of a second, so that a test can damage the store byte by
byte and ask the core of `verify` what it sees.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from unittest.mock import Mock

import redis

from feature_store.contract.calibration import Calibration
from feature_store.contract.erasure import Consent, ErasureRequest, Erasures
from feature_store.contract.events import EVENT_TYPES, Event, encode_event, record_key
from feature_store.contract.partitions import partition_of
from feature_store.errors import InvalidEventError
from feature_store.log.records import accept
from feature_store.online.rows import OnlineRows
from inference.counts.windows import WindowSettings
from inference.encoders.encoder import Encoder
from ops.verify.check import PartitionCheck
from ops.verify.expected.calibrations import PartitionCalibrations
from ops.verify.expected.log import Record, Rules, record_without_event
from ops.verify.findings import Findings
from ops.verify.report import VerifyReport
from streams.live.calibrating import take_calibrations
from streams.live.checkpoint import Checkpointer
from streams.live.clock import SystemClock
from streams.live.leaving.erasing import Eraser
from streams.live.leaving.opt_outs import OptOuts
from streams.live.partition import Partition
from streams.live.pending import PendingErasures
from streams.live.tagger import Tagger
from streams.live.takeover import Takeover
from streams.metrics import WorkerMetrics
from streams.settings import WorkerSettings
from tests.strategies import START

MINUTE = 60_000
SETTINGS = WorkerSettings(topic="clicks", checkpoint_ms=1)


class Message(NamedTuple):
    """What the tagger asks of a Kafka message."""

    raw: bytes | None
    raw_key: bytes | None
    number: int
    at: int
    created: int
    marks: Sequence[tuple[str, bytes]] = ()

    def headers(self) -> Sequence[tuple[str, bytes]]:
        return self.marks

    def value(self) -> bytes | None:
        return self.raw

    def key(self) -> bytes | None:
        return self.raw_key

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, self.created


class Topic:
    """The erasures topic, as WholeTopic reads it."""

    def __init__(self, records: Sequence[Message]) -> None:
        self._records, self._at = records, 0

    def restart(self) -> None:
        self._at = 0

    def to_end(self) -> Iterator[Sequence[Message]]:
        yield self.arrived()

    def arrived(self) -> Sequence[Message]:
        new, self._at = self._records[self._at :], len(self._records)
        return new


class Live:
    """A log, a store, and one worker at a time between them; `crash` drops the worker's memory."""

    def __init__(
        self,
        client: redis.Redis,
        topic: str,
        encoder: Encoder,
        *,
        partitions: int = 2,
        windows: WindowSettings | None = None,
        now_ms: int = START + 60 * MINUTE,
    ) -> None:
        self.client, self.topic, self.partitions, self.now_ms = client, topic, partitions, now_ms
        self.rows = OnlineRows.over(client, topic)
        self.rows.claim_partition_count(partitions)
        self.windows = windows or WindowSettings(window_seconds=300, window_hours=24, window_stores=200)
        self.log: list[list[Message]] = [[] for _ in range(partitions)]
        self.base: list[list[Event]] = [[] for _ in range(partitions)]
        self.assignments: list[list[bytes]] = [[] for _ in range(partitions)]
        self.erasures, self.erased = Erasures(), list[Message]()
        self.encoders: list[Encoder] = []
        self.oracle: dict[str, Encoder] = {}
        """By codebook version, who answers for the oracle instead of the worker's own encoder."""
        self.roll = random.Random(5)
        names = (f"q{n}" for n in range(99))
        self.quiet = next(b for b in names if partition_of(record_key("acme", b), partitions) == 0)
        """A buyer of the store acme in partition 0."""
        self.sent = 0
        self.start(encoder)

    # ---- the log

    def event(self, buyer: str, **fields: Any) -> Event:
        """A new event of a buyer."""
        self.sent += 1
        product = self.roll.randrange(20)
        base: dict[str, Any] = {
            "schema_version": 1,
            "event_id": f"e{self.sent}",
            "store": "acme",
            "buyer": buyer,
            "type": self.roll.choice(EVENT_TYPES),
            "timestamp": START + self.sent * 1_000,
            "product_id": f"p{product}",
            "category": f"c{product % 5}",
            "price": float(product),
            "currency": "USD",
        }
        return Event(**(base | fields))

    def send(self, *events: Event) -> None:
        """Append events to the log."""
        for event in events:
            key = record_key(event.store, event.buyer)
            self.append(partition_of(key, self.partitions), encode_event(event), key, event.timestamp)

    def append(
        self,
        number: int,
        raw: bytes | None,
        key: bytes | None,
        created: int,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Append any record."""
        log = self.log[number]
        log.append(Message(raw, key, number, len(log), created, headers))

    # ---- the worker

    def start(self, encoder: Encoder) -> None:
        """A new worker with an empty memory takes all partitions over."""
        if encoder.codebook_version not in {known.codebook_version for known in self.encoders}:
            self.encoders.append(encoder)
        self.encoder = encoder
        output = Mock()
        output.send.side_effect = self._send
        metrics, clock = WorkerMetrics(), SystemClock()
        self.metrics = metrics
        rows: Any = self.rows
        topic: Any = Topic(self.erased)
        erasures = PendingErasures(topic, self._folded)
        self.tagger = Tagger(
            SETTINGS,
            rows,
            output,
            encoder,
            erasures,
            metrics,
            self.partitions,
            self.windows,
            clock,
        )
        opt_outs = OptOuts(rows, self.tagger.cache)
        self.eraser = Eraser(SETTINGS.erasures_topic, output, self.tagger, erasures, opt_outs, metrics, clock)
        takeover = Takeover(SETTINGS.topic, self._ends, rows, self.tagger, erasures)
        self.checkpointer = Checkpointer(rows, output, self.tagger, metrics, clock)
        self.owned: dict[int, Partition] = {p.number: p for p in takeover.begin([*range(self.partitions)])}

    def tag(self, most: int = 10**9, batch: int = 40) -> None:
        """Fold what waits, at most so many records per partition, in batches; no checkpoint."""
        for number, partition in self.owned.items():
            end = min(len(self.log[number]), partition.next_offset + most)
            while partition.next_offset < end:
                some = self.log[number][partition.next_offset : min(end, partition.next_offset + batch)]
                partition.next_offset += len(some)
                events = self.eraser.honour(self.owned, some)  # type: ignore[arg-type]
                events = take_calibrations(self.owned, events, self.metrics)
                if events:
                    self.tagger.tag(self.owned, events)

    def checkpoint(self) -> None:
        """Write what is in memory."""
        self.checkpointer.run(self.owned.values(), lambda _offsets: None)

    def erase(self, store: str, buyer: str, consent: Consent | None = None) -> None:
        """Ask for the erasure of a buyer, or write down their consent, and fold up to the request."""
        key = record_key(store, buyer)
        number = partition_of(key, self.partitions)
        self.append(number, None, key, self.now_ms, ErasureRequest(requested_at=1, consent=consent).headers())
        self.tag()
        self.checkpoint()

    def calibrate(self, calibration: Calibration) -> None:
        """Append a calibration to every partition."""
        for number in range(self.partitions):
            self.append(number, None, None, self.now_ms, calibration.headers())

    def run(self, every: int = 100) -> None:
        """Fold all that waits, with a checkpoint every so many records, and walk until all is retagged."""
        while any(p.next_offset < len(self.log[n]) for n, p in self.owned.items()):
            self.tag(every)
            self.checkpoint()
        while any(not partition.tag_as.all_of_them for partition in self.owned.values()):
            self.tagger.reannouncer._time = Mock(wait_s=0, spend=_no_wait)
            self.tagger.reannouncer.walk(self.owned)
            self.checkpoint()
        self.checkpoint()

    def _folded(self) -> dict[int, int]:
        stored = self.rows.progress_of(range(self.partitions))
        return {number: 0 if at is None else at.next_offset for number, at in stored.items()}

    def _ends(self, numbers: Sequence[int]) -> dict[int, int]:
        return {number: len(self.log[number]) for number in numbers}

    def _send(self, topic: str, key: bytes, value: bytes) -> None:
        if topic == SETTINGS.assignments_topic:
            self.assignments[partition_of(key, self.partitions)].append(value)
        elif topic == SETTINGS.erasures_topic:
            self.erased.append(Message(value, key, 0, len(self.erased), self.now_ms))
            self.erasures.take(self.erased[-1:])

    # ---- the oracle

    def check(self, number: int, report: VerifyReport, *, cut: int = 0) -> Findings:
        """Compare one partition; cut: so many of the first assignments are gone."""
        calibrations = PartitionCalibrations(self.rows.stored_calibrations(number), 0)
        progress = self.rows.stored_progress(number)
        check = PartitionCheck(number, progress, self.rules(), report, calibrations)
        for raw in self.assignments[number][cut:]:
            check.add_assignment(raw)
        check.seal(is_cut=cut > 0)
        if self.base[number]:
            check.add([Record(-1, event.timestamp, event) for event in self.base[number]])
        log = self.log[number]
        for start in range(0, len(log), 70):
            check.add([self._record(message) for message in log[start : start + 70]])
        return check.compare(self.rows.stored(number), len(log))

    def rules(self) -> Rules:
        erased: dict[int, int] = {}
        for erasure in self.erasures.by_key.values():
            erased[erasure.partition] = max(erased.get(erasure.partition, 0), erasure.before_offset)
        return Rules(
            encoders={encoder.codebook_version: encoder for encoder in self.encoders} | self.oracle,
            champion=self.encoder.codebook_version,
            void_before=self.erasures.void_before,
            opted_out=self.erasures.opted_out,
            ended_before=self.erasures.ended_before,
            windows=self.windows,
            now_ms=self.now_ms,
            erased_before=erased,
        )

    def repair(self) -> int:
        """Put right what verification finds; how many values were changed."""
        report = VerifyReport()
        found = [self.check(number, report) for number in range(self.partitions)]
        return sum(self.rows.mend(one.number, one.fixes) for one in found if one.fixes)

    def verify(self, *, cut: int = 0) -> VerifyReport:
        """Compare everything."""
        report = VerifyReport()
        for number in range(self.partitions):
            self.check(number, report, cut=cut)
        return report

    def _record(self, message: Message) -> Record:
        try:
            event, _ = accept(message.raw, message.raw_key, message.number, message.created, self.partitions)
        except InvalidEventError:
            return record_without_event(message, message.created, message.number, self.partitions)
        return Record(message.at, message.created, event)


class _no_wait:  # noqa: N801  (reads as a statement: with _no_wait(): ...)
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
