"""What the demo sees of the running system: assignments, metrics, progress. It changes nothing."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from feature_store.log.clients import lone_consumer
from feature_store.log.reader import LogReader, arrived, is_end
from feature_store.online.assignment import decode_assignment
from feature_store.online.rows import OnlineRows
from ops.demo.display.shown_shoppers import Key, ShownShoppers
from ops.demo.display.view import ROWS, Snapshot
from ops.demo.scrapes import Scrapes
from ops.demo.worker import DemoWorker
from streams.dead_letters import decode_dead_letter
from streams.settings import WorkerSettings

_TAKEN_AT_ONCE: Final = 5_000
_SCRAPE_EVERY_S: Final = 0.5
_RATE_OVER_S: Final = 3.0
_LATENCY: Final = ("stage", "event_to_tag")


class Watcher:
    """Follows one topic, its store and its worker. Close it."""

    def __init__(
        self,
        kafka: dict[str, Any],
        settings: WorkerSettings,
        partitions: int,
        worker: DemoWorker,
        encoder: str,
        sent: Callable[[], int],
    ) -> None:
        self.shown = ShownShoppers(ROWS)
        self.scrapes = Scrapes()
        self.started = time.monotonic()
        self._settings, self._numbers = settings, list(range(partitions))
        self._worker, self._encoder, self._sent = worker, encoder, sent
        self._drained = False
        self._buyers: set[Key] = set()
        self._assignments = 0
        self._open = ExitStack()
        self._rows = OnlineRows(settings.store_url, settings.topic)
        self._open.callback(self._rows.close)
        self._log = self._open.enter_context(LogReader(kafka))
        self._tail = lone_consumer(kafka, "simpersona-demo")
        self._open.callback(self._tail.close)
        self._tail.assign(
            [TopicPartition(settings.assignments_topic, number, OFFSET_BEGINNING) for number in self._numbers]
        )
        self._next_scrape = 0.0
        self._tagged: deque[tuple[float, float]] = deque()

    def close(self) -> None:
        """Close the connections."""
        self._open.close()

    @property
    def buyers(self) -> int:
        """Different buyers that were assigned a persona."""
        return len(self._buyers)

    def snapshot(self, wait_s: float) -> Snapshot:
        """Take in what is new, waiting `wait_s` for it, and describe the moment."""
        self._take_assignments(wait_s)
        now = time.monotonic()
        if now >= self._next_scrape:
            self.scrape()
            self._next_scrape = now + _SCRAPE_EVERY_S
        self.shown.turn(now)
        return self._snapshot(now)

    def scrape(self) -> None:
        """Read the worker's metrics, if it answers."""
        text = self._worker.metrics()
        if text is None:
            return
        self.scrapes.add(text)
        now = time.monotonic()
        self._tagged.append((now, self.scrapes.total("simpersona_events_total")))
        while now - self._tagged[0][0] > _RATE_OVER_S:
            self._tagged.popleft()

    def latency_ms(self, q: float) -> float | None:
        """A quantile of event-to-tag, in ms."""
        seconds = self.scrapes.quantile("simpersona_stage_seconds", _LATENCY, q)
        return None if seconds is None else seconds * 1000.0

    def covered(self) -> int:
        """Records that the store's progress covers."""
        return sum(p.next_offset for p in self._rows.progress_of(self._numbers).values() if p is not None)

    def drained(self) -> bool:
        """Whether the last checkpoint covers the whole topic."""
        ends = self._ends(self._settings.topic)
        progress = self._rows.progress_of(self._numbers)
        self._drained = all(ends[n] == (p.next_offset if (p := progress[n]) else 0) for n in self._numbers)
        return self._drained

    def worker_consumes(self) -> bool:
        """Whether the worker owns its partitions: it reports the lag of those it owns.

        Not asked of Kafka: librdkafka's admin client, whose describe_consumer_groups times out while the
        broker still loads its groups, hangs for ever when it is destroyed (seen with 2.16.1).
        """
        return self.scrapes.series("simpersona_consumer_lag_events") == len(self._numbers)

    def assignments_out(self) -> int:
        """Records on the topic of assignments."""
        return sum(self._ends(self._settings.assignments_topic))

    def dead_letters(self) -> dict[str, int]:
        """Refused records by reason, each once: a crash may have sent a dead letter twice."""
        refused: dict[tuple[int, int], str] = {}
        for number in self._numbers:
            for messages in self._log.read(self._settings.dead_letters_topic, number):
                for message in messages:
                    letter = decode_dead_letter(message.value())
                    refused[letter.partition, letter.offset] = letter.reason
        return dict(Counter(refused.values()).most_common())

    def _ends(self, topic: str) -> list[int]:
        return [self._log.bounds(topic, number)[1] for number in self._numbers]

    def _take_assignments(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while True:
            left = max(deadline - time.monotonic(), 0.0)
            now = time.monotonic()
            for message in arrived(self._tail, self._settings.assignments_topic, _TAKEN_AT_ONCE, left):
                if is_end(message):
                    continue
                assignment = decode_assignment(message.value())
                self._assignments += 1
                self._buyers.add((assignment.store, assignment.buyer))
                self.shown.add(assignment, now)
            if left == 0.0:
                return

    def _snapshot(self, now: float) -> Snapshot:
        scrapes, worker = self.scrapes, self._worker
        process = worker.process
        if process is None:
            state = "dead"
        else:
            state = f"{'running' if scrapes.alive else 'starting'} (pid {process.pid})"
        lag = scrapes.gauge("simpersona_consumer_lag_events")
        degraded = bool(scrapes.gauge("simpersona_encoder_degraded"))
        shoppers = list(self.shown.rows)
        return Snapshot(
            seconds=now - self.started,
            sent=self._sent(),
            tagged=int(scrapes.total("simpersona_events_total")),
            events_per_s=self._rate(),
            p50_ms=self.latency_ms(0.5),
            p99_ms=self.latency_ms(0.99),
            lag=0 if self._drained else None if lag is None else int(lag),  # the gauge is 2 s old
            assignments=self._assignments,
            buyers=self.buyers,
            dead_letters=int(scrapes.total("simpersona_dead_letters_total")),
            worker=state,
            restarts=worker.restarts,
            encoder=f"onnx, no {self._encoder}" if degraded else self._encoder,
            shoppers=shoppers,
            fresh=frozenset(i for i, row in enumerate(shoppers) if self.shown.is_fresh(row, now)),
        )

    def _rate(self) -> float:
        """Events/s between the oldest and the newest scrape of the last seconds."""
        if len(self._tagged) < 2:
            return 0.0
        (first_time, first), (last_time, last) = self._tagged[0], self._tagged[-1]
        return (last - first) / (last_time - first_time)
