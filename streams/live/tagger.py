"""From records to personas: decode -> fold -> encode -> emit, a micro-batch at a time.

The tagger owns the cache. It changes nothing outside of it but what it sends: rows, progress and
offsets are written by the checkpoint (streams/live/checkpoint.py). Any error of the store, the encoder or
the producer leaves the batch half done in memory; the loop then drops the cache and reads again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.errors import InvalidEventError
from feature_store.fold.behavior import EventColumns, columns
from feature_store.fold.products import ProductTable
from feature_store.fold.vectors import Steps, fold_each
from feature_store.log.producer import Output
from feature_store.log.records import accept
from feature_store.online.assignment import Reason
from feature_store.online.changes import REASONS, Changes
from feature_store.online.rows import OnlineRows
from inference.counts.counting import Arrivals
from inference.counts.windows import WindowSettings
from inference.encoders.encoder import Encoder, Encoding
from streams.dead_letters import dead_letter, encode_dead_letter
from streams.live.announce import Announcer, ToAssign
from streams.live.buyers import Buyers
from streams.live.cache import BuyerCache
from streams.live.clock import Clock
from streams.live.partition import Partition
from streams.live.pending import PendingErasures
from streams.live.swap.champion import Champion
from streams.live.swap.reannounce import Reannouncer
from streams.live.swap.shadow import Shadow
from streams.live.window_counts import Counting, WindowCounts
from streams.metrics import WorkerMetrics
from streams.settings import WorkerSettings


class Batch(NamedTuple):
    """Decoded records of one micro-batch, one entry a record; offsets and created (CreateTime, ms) int64.
    refused: of each record left out, its partition and how many of `events` came before it."""

    events: list[Event]
    slots: NDArray[np.int64]
    offsets: NDArray[np.int64]
    created: NDArray[np.int64]
    refused: list[tuple[int, int]]


class Tagger:
    """Turns records into personas for the partitions that the loop hands it."""

    def __init__(
        self,
        settings: WorkerSettings,
        rows: OnlineRows,
        output: Output,
        encoder: Encoder,
        erasures: PendingErasures,
        metrics: WorkerMetrics,
        partition_count: int,
        windows: WindowSettings,
        clock: Clock,
    ) -> None:
        self.cache = BuyerCache(settings.cache_mb * 1024 * 1024, slack=2 * settings.batch_events)
        self._settings, self._rows, self._output = settings, rows, output
        self._metrics, self._clock = metrics, clock
        self.partition_count = partition_count
        self.champion, self.shadow = Champion(encoder, metrics), Shadow(metrics, settings.shadow_share)
        self._buyers = Buyers(self.cache, rows, erasures, metrics)
        self._announcer = Announcer(self.cache, output, settings.assignments_topic, rows, metrics, clock)
        self.reannouncer = Reannouncer(
            self._buyers, rows, self.champion, self._announcer, metrics, settings.reencode_share, clock
        )
        self._products = ProductTable()
        self._batch_number = 0
        self.windows = WindowCounts(windows, settings.allowed_lateness_ms, rows, encoder.codebook_version)

    def use(self, encoder: Encoder) -> Encoder:
        """Answer with another encoder from the next batch on; returns the one before, to be closed.

        A batch is never of two versions: this runs between two batches. A candidate in its shadow is done.
        """
        self.shadow.end()
        self.windows.use(encoder.codebook_version)
        return self.champion.replace(encoder)

    def tag(self, partitions: dict[int, Partition], messages: Sequence[Message]) -> None:
        """Fold records of owned partitions, in order, and assign the personas that changed.

        Raises:
            OnlineStoreError, EncoderUnavailableError, ProducerError: nothing is lost; drop the cache,
                read the store's progress again, and seek.
        """
        self._batch_number += 1
        batch = self._decode(partitions, messages)
        decoded = self._clock.now_s()
        self._metrics.events.inc(len(messages))
        if batch.refused:
            self._count_refused(partitions, batch)
        if not batch.events:
            return
        self.champion.tell_unseen({event.store for event in batch.events})
        steps, counting = self._fold(partitions, batch)
        folded = self._clock.now_s()
        stores = (batch.events[place].store for place in steps.places.tolist())
        encoding = self.champion.encode(steps.vectors, stores)
        encoded = self._clock.now_s()
        slots = batch.slots[steps.places]
        found = self.cache.assign(slots, encoding, steps.session_events, self.champion.version)
        self.windows.count(counting, steps, encoding, found.sent)
        self._emit_changes(partitions, batch, steps, encoding, found)
        self._observe(batch, decoded, folded, encoded)
        self.shadow.offer(steps.vectors, encoding, self.champion.encoder.types)

    # ---- decode

    def _decode(self, partitions: dict[int, Partition], messages: Sequence[Message]) -> Batch:
        events: list[Event] = []
        slots: list[int] = []
        offsets: list[int] = []
        created: list[int] = []
        refused: list[tuple[int, int]] = []
        missing: dict[int, list[bytes]] = {}
        known = self.cache.slots
        for message in messages:
            number, offset = message.partition(), message.offset()
            create_time = message.timestamp()[1]
            try:
                event, key = accept(message.value(), message.key(), number, create_time, self.partition_count)
            except InvalidEventError as error:
                self._refuse(message, number, offset, error)
                refused.append((number, len(events)))
                continue
            slot = known.get(key)
            if slot is None:
                slot = self.cache.add(key, number)
                missing.setdefault(number, []).append(key)
            events.append(event)
            slots.append(slot)
            offsets.append(offset)
            created.append(create_time)
        self._buyers.load(missing)
        offsets_, created_ = np.array(offsets, np.int64), np.array(created, np.int64)
        return Batch(events, np.array(slots, np.int64), offsets_, created_, refused)

    def _refuse(self, message: Message, number: int, offset: int, error: InvalidEventError) -> None:
        raw, created = message.value() or b"", message.timestamp()[1]
        letter = dead_letter(error.reason, error.detail, self._settings.topic, number, offset, raw, created)
        key = message.key()
        # A key as large as the record would make the dead letter as large as the poison.
        small_key = key if key is not None and len(key) <= 1_024 else None
        self._output.send(self._settings.dead_letters_topic, small_key, encode_dead_letter(letter))
        self._metrics.dead_letters.labels(error.reason).inc()

    # ---- fold

    def _fold(self, partitions: dict[int, Partition], batch: Batch) -> tuple[Steps, Counting]:
        """Fold the batch into the cache; returns the state after every event that changed one."""
        self._products.trim()
        states = self.cache.states
        table = columns(batch.events, self._products)
        touched = np.unique(batch.slots)
        late_before = self.cache.late_events(touched)
        counting = self._begin_counting(partitions, batch, table)
        lateness = self._settings.allowed_lateness_ms
        steps = fold_each(states, batch.slots, table, self._products, allowed_lateness_ms=lateness)
        self._metrics.late.inc(self.cache.late_events(touched) - late_before)
        self._metrics.duplicates.inc(len(batch.slots) - len(steps.places))
        self.cache.mark_folded(batch.slots[steps.places], batch.offsets[steps.places])
        self.cache.mark_used(touched, self._batch_number)
        self._advance(partitions, batch, table.time)
        return steps, counting

    def _begin_counting(
        self, partitions: dict[int, Partition], batch: Batch, table: EventColumns
    ) -> Counting:
        stores = self.windows.number_of([event.store for event in batch.events])
        number = self.cache.partitions(batch.slots)
        arrivals = Arrivals(batch.slots, table.time, batch.created, table.type, stores, number)
        return self.windows.begin(partitions, self.cache, self.champion.version, arrivals)

    def _count_refused(self, partitions: dict[int, Partition], batch: Batch) -> None:
        times = np.array([event.timestamp for event in batch.events], np.int64)
        numbers = self.cache.partitions(batch.slots)
        self.windows.refuse(partitions, batch.refused, numbers, times)

    def _advance(self, partitions: dict[int, Partition], batch: Batch, times: NDArray[np.int64]) -> None:
        numbers = self.cache.partitions(batch.slots)
        for number in np.unique(numbers).tolist():
            mine = numbers == number
            partition = partitions[number]
            partition.watermark = max(partition.watermark, int(times[mine].max()))
            partition.create_time = max(partition.create_time, int(batch.created[mine].max()))

    # ---- emit

    def _emit_changes(
        self,
        partitions: dict[int, Partition],
        batch: Batch,
        steps: Steps,
        encoding: Encoding,
        found: Changes,
    ) -> None:
        """Assign where an event changed what a reader can use (feature_store.online.changes).

        So assignments are a function of the log: another owner that reads the same records, with other
        batches, after a crash or as a zombie, makes the same ones again and no others.
        """
        sent = np.flatnonzero(found.reasons)
        to_assign = ToAssign(
            batch.slots[steps.places[sent]],
            batch.offsets[steps.places[sent]],
            steps.events[sent],
            steps.last_time[sent],
            Encoding._make(column[sent] for column in encoding),
        )
        reasons = [cast(Reason, REASONS[reason]) for reason in found.reasons[sent].tolist()]
        self._announcer.assign(self.champion.encoder, partitions, to_assign, reasons)

    def check(self, number: int, key: bytes) -> None:
        """Look at a buyer's stored row. Raises UnreadableRowError, OnlineStoreError."""
        self._buyers.check(number, key)

    def forget(self, number: int) -> None:
        """Drop what is in memory of a partition, written or not: the store is the truth."""
        self.cache.drop(number)
        self.windows.forget(number)

    # ---- look

    def _observe(self, batch: Batch, decoded: float, folded: float, encoded: float) -> None:
        tagged = self._clock.now_s()
        stages, created = self._metrics.stages, batch.created / 1000.0
        n = len(batch.events)
        event_times = np.fromiter((event.timestamp for event in batch.events), np.float64, n) / 1000.0
        stages.observe("event_to_produced", created - event_times)
        stages.observe("produced_to_decoded", decoded - created)
        stages.observe("decoded_to_folded", folded - decoded, n)
        stages.observe("folded_to_encoded", encoded - folded, n)
        stages.observe("encoded_to_tagged", tagged - encoded, n)
        stages.observe("event_to_tag", tagged - created)
        self._metrics.batch_events.observe(n)
        self._metrics.cache_buyers.set(len(self.cache))
        self._metrics.cache_bytes.set(self.cache.used_bytes)
