"""From records to personas: decode -> fold -> encode -> emit, a micro-batch at a time.

The tagger owns the cache. It changes nothing outside of it but what it sends: rows, progress and
offsets are written by the checkpoint (streams/checkpoint.py). Any error of the store, the encoder or
the producer leaves the batch half done in memory; the loop then drops the cache and reads again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import structlog
import xxhash
from confluent_kafka import Message
from numpy.typing import NDArray

from feature_store.behavior import COUNTER, EventColumns, columns
from feature_store.describe import Steps, fold_each, vectors
from feature_store.errors import InvalidEventError
from feature_store.events import Event
from feature_store.online import OnlineRows
from feature_store.products import ProductTable
from inference.assignment import confidence_bands
from inference.counting import Arrivals
from inference.encoder import Encoder, Encoding
from inference.errors import InferenceError
from inference.windows import WindowSettings
from streams.announce import Announcer, Said
from streams.cache import BuyerCache, Meta
from streams.dead_letters import dead_letter, encode_dead_letter
from streams.erasures import ErasureLog
from streams.metrics import WorkerMetrics
from streams.output import Output
from streams.partition import Partition
from streams.records import accept
from streams.settings import WorkerSettings
from streams.windows import Counting, WindowCounts

log = structlog.get_logger(__name__)

_EVENTS: Final = COUNTER["events"]
_LATE: Final = COUNTER["late"]
_LAST_TIME: Final = COUNTER["last_time"]


def _version_hash(encoder: Encoder) -> np.uint32:
    return np.uint32(xxhash.xxh32_intdigest(encoder.codebook_version.encode()))


class Batch(NamedTuple):
    """Decoded records of one micro-batch, one entry a record; offsets and created (CreateTime, ms) int64.
    refused: of each record left out, its partition and how many of `events` came before it."""

    events: list[Event]
    slots: NDArray[np.int64]
    offsets: NDArray[np.int64]
    created: NDArray[np.int64]
    refused: list[tuple[int, int]]


def _first_of_each(slots: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool [n]: whether a slot appears there for the first time."""
    first = np.zeros(len(slots), dtype=np.bool_)
    first[np.unique(slots, return_index=True)[1]] = True
    return first


def _previous(slots: NDArray[np.int64], after: NDArray[np.int64], meta: Meta) -> NDArray[np.int64]:
    """What held before each event, int64 [n, 3] of code, type, band: from the slot's event before, in
    the batch (`after` holds what each event led to) or from the cache."""
    order = np.argsort(slots, kind="stable")
    before = np.empty_like(after)
    before[order[1:]] = after[order[:-1]]
    first = _first_of_each(slots)
    mine = slots[first]
    before[first] = np.column_stack([meta.code[mine], meta.type[mine], meta.band[mine]])
    return before


class Tagger:
    """Turns records into personas for the partitions that the loop hands it."""

    def __init__(
        self,
        settings: WorkerSettings,
        rows: OnlineRows,
        output: Output,
        encoder: Encoder,
        erasures: ErasureLog,
        metrics: WorkerMetrics,
        partition_count: int,
        windows: WindowSettings,
    ) -> None:
        self.cache = BuyerCache(settings.cache_mb * 1024 * 1024)
        self._shadow: Encoder | None = None
        self._settings, self._rows, self._output = settings, rows, output
        self._erasures, self._metrics = erasures, metrics
        self.partition_count = partition_count
        self._announcer = Announcer(self.cache, output, settings.assignments_topic, rows, metrics)
        self._products = ProductTable()
        self._batch_number = 0
        self.encoder = encoder
        self._version = _version_hash(encoder)
        self.windows = WindowCounts(windows, settings.allowed_lateness_ms, rows, encoder.codebook_version)
        metrics.codebook.labels(encoder.codebook_version).set(1)

    def use(self, encoder: Encoder) -> Encoder:
        """Answer with another encoder from the next batch on; returns the one before, to be closed.

        A batch is never of two versions: this runs between two batches.
        """
        before, self.encoder = self.encoder, encoder
        self._version = _version_hash(encoder)
        self.windows.use(encoder.codebook_version)
        self._metrics.codebook.labels(before.codebook_version).set(0)
        self._metrics.codebook.labels(encoder.codebook_version).set(1)
        return before

    def shadow_with(self, candidate: Encoder | None) -> None:
        """Let a candidate tag beside the encoder that answers; None ends it."""
        before, self._shadow = self._shadow, candidate
        if before is not None:
            before.close()

    def tag(self, partitions: dict[int, Partition], messages: Sequence[Message]) -> None:
        """Fold records of owned partitions, in order, and say the personas that changed.

        Raises:
            OnlineStoreError, EncoderUnavailableError, ProducerError: nothing is lost; drop the cache,
                read the store's progress again, and seek.
        """
        self._batch_number += 1
        batch = self._decode(partitions, messages)
        decoded = time.time()
        self._metrics.events.inc(len(messages))
        if batch.refused:
            self._count_refused(partitions, batch)
        if not batch.events:
            return
        steps, counting = self._fold(partitions, batch)
        folded = time.time()
        encoding = self.encoder.encode(steps.vectors)
        encoded = time.time()
        bands = confidence_bands(encoding.confidence)
        self.windows.count(counting, steps, encoding, bands)
        self._emit_changes(batch, steps, encoding, bands)
        self._observe(batch, decoded, folded, encoded)
        if self._shadow is not None and len(steps.places):
            self._compare(self._shadow, steps, encoding)

    # ---- decode

    def _decode(self, partitions: dict[int, Partition], messages: Sequence[Message]) -> Batch:
        events: list[Event] = []
        slots: list[int] = []
        offsets: list[int] = []
        created: list[int] = []
        refused: list[tuple[int, int]] = []
        missing: dict[int, list[bytes]] = {}
        known = self.cache.table.slots
        for message in messages:
            number, offset = message.partition(), message.offset()
            create_time = message.timestamp()[1]
            try:
                event, key = accept(message.value(), message.key(), number, create_time, self.partition_count)
            except InvalidEventError as error:
                self._refuse(message, number, offset, error)
                refused.append((number, len(events)))
                continue
            if self._erasures.by_key and offset < self._erasures.void_before(key):
                self._metrics.erased.inc()
                continue
            slot = known.get(key)
            if slot is None:
                slot = self.cache.add(key, number)
                missing.setdefault(number, []).append(key)
            events.append(event)
            slots.append(slot)
            offsets.append(offset)
            created.append(create_time)
        self._load(missing)
        offsets_, created_ = np.array(offsets, np.int64), np.array(created, np.int64)
        return Batch(events, np.array(slots, np.int64), offsets_, created_, refused)

    def _refuse(self, message: Message, number: int, offset: int, error: InvalidEventError) -> None:
        letter = dead_letter(
            error.reason, error.detail, self._settings.topic, number, offset, message.value() or b""
        )
        key = message.key()
        # A key as large as the record would make the dead letter as large as the poison.
        small_key = key if key is not None and len(key) <= 1_024 else None
        self._output.send(self._settings.dead_letters_topic, small_key, encode_dead_letter(letter))
        self._metrics.dead_letters.labels(error.reason).inc()

    def _load(self, missing: dict[int, list[bytes]]) -> None:
        """Read the rows of buyers new to the cache; rows from before an erasure count as absent."""
        if not missing:
            return
        slots: list[int] = []
        found: list[bytes] = []
        for number, rows in self._rows.read_states(missing).items():
            self._metrics.cache_misses.inc(len(rows))
            for key, row in zip(missing[number], rows, strict=True):
                if row is not None:
                    slots.append(self.cache.table.slots[key])
                    found.append(row)
        self.cache.fill(slots, found)
        if not self._erasures.by_key:
            return
        for slot in slots:
            key = self.cache.keys[slot]
            if self.cache.meta.since_offset[slot] < self._erasures.void_before(key):
                self.cache.reset(slot)

    # ---- fold

    def _fold(self, partitions: dict[int, Partition], batch: Batch) -> tuple[Steps, Counting]:
        """Fold the batch into the cache; returns the state after every event that changed one."""
        self._products.trim()
        states, meta = self.cache.table.states, self.cache.meta
        table = columns(batch.events, self._products)
        touched = np.unique(batch.slots)
        late_before = int(states.counters[touched, _LATE].sum())
        counting = self._begin_counting(partitions, batch, table)
        lateness = self._settings.allowed_lateness_ms
        steps = fold_each(states, batch.slots, table, self._products, allowed_lateness_ms=lateness)
        self._metrics.late.inc(int(states.counters[touched, _LATE].sum()) - late_before)
        self._metrics.duplicates.inc(len(batch.slots) - len(steps.places))
        slots, offsets = batch.slots[steps.places], batch.offsets[steps.places]
        meta.last_offset[slots] = offsets  # of repeated slots the last assignment wins: offsets ascend
        fresh = meta.since_offset[slots] < 0
        meta.since_offset[slots[fresh][::-1]] = offsets[fresh][::-1]
        meta.dirty[slots] = True
        meta.used[touched] = self._batch_number
        self._advance(partitions, batch, table.time)
        return steps, counting

    def _begin_counting(
        self, partitions: dict[int, Partition], batch: Batch, table: EventColumns
    ) -> Counting:
        stores = self.windows.number_of([event.store for event in batch.events])
        number = self.cache.meta.partition[batch.slots].astype(np.int64)
        arrivals = Arrivals(batch.slots, table.time, batch.created, table.type, stores, number)
        return self.windows.begin(
            partitions, self.cache.table.states, self.cache.meta, self._version, arrivals
        )

    def _count_refused(self, partitions: dict[int, Partition], batch: Batch) -> None:
        times = np.array([event.timestamp for event in batch.events], np.int64)
        numbers = self.cache.meta.partition[batch.slots].astype(np.int64)
        self.windows.refuse(partitions, batch.refused, numbers, times)

    def _advance(self, partitions: dict[int, Partition], batch: Batch, times: NDArray[np.int64]) -> None:
        numbers = self.cache.meta.partition[batch.slots]
        for number in np.unique(numbers).tolist():
            mine = numbers == number
            partition = partitions[number]
            partition.watermark = max(partition.watermark, int(times[mine].max()))
            partition.create_time = max(partition.create_time, int(batch.created[mine].max()))

    # ---- emit

    def _emit_changes(self, batch: Batch, steps: Steps, encoding: Encoding, bands: NDArray[np.uint8]) -> None:
        """Say every change of code, type or confidence band, event by event.

        So what is said is a function of the log: another owner that reads the same records, with other
        batches, after a crash or as a zombie, says the same again and nothing else.
        """
        meta, slots = self.cache.meta, batch.slots[steps.places]
        before = _previous(slots, np.column_stack([encoding.code, encoding.type, bands]), meta)
        # Under another codebook version a first event says the code anew, whatever it was.
        swapped = (meta.version[slots] != self._version) & (before[:, 0] >= 0) & _first_of_each(slots)
        code_changed = before[:, 0] != encoding.code
        type_changed = before[:, 1] != encoding.type
        changed = np.flatnonzero(swapped | code_changed | type_changed | (before[:, 2] != bands))
        said = Said(
            slots[changed],
            batch.offsets[steps.places[changed]],
            steps.events[changed],
            steps.last_time[changed],
            Encoding._make(column[changed] for column in encoding),
        )
        self._announcer.say(
            self.encoder,
            said,
            [
                "swap"
                if swapped[i]
                else "code"
                if code_changed[i]
                else "type"
                if type_changed[i]
                else "confidence"
                for i in changed.tolist()
            ],
        )
        meta.code[slots], meta.type[slots], meta.band[slots] = encoding.code, encoding.type, bands
        meta.distance[slots], meta.margin[slots] = encoding.distance, encoding.margin
        meta.confidence[slots], meta.version[slots] = encoding.confidence, self._version

    def forget(self, number: int) -> None:
        """Drop what is in memory of a partition, written or not: the store is the truth."""
        self.cache.drop(number)
        self.windows.forget(number)

    def end_sessions(self, number: int, keys: Sequence[bytes]) -> None:
        """Say once more, with reason session_end, who these buyers of a partition were.

        Raises:
            OnlineStoreError, EncoderUnavailableError, ProducerError: see `tag`.
        """
        absent = [key for key in keys if key not in self.cache.table.slots]
        for key in absent:
            self.cache.add(key, number)
        self._load({number: absent} if absent else {})
        counters = self.cache.table.states.counters
        found = [self.cache.table.slots[key] for key in keys]
        slots = np.array([slot for slot in found if counters[slot, _EVENTS] > 0], np.int64)
        said = Said(
            slots,
            self.cache.meta.last_offset[slots],
            counters[slots, _EVENTS],
            counters[slots, _LAST_TIME],
            self._last_words(slots),
        )
        self._announcer.say(self.encoder, said, ["session_end"] * len(slots))

    def _last_words(self, slots: NDArray[np.int64]) -> Encoding:
        """What the encoder says of these states; asked only where it was not since they last changed."""
        meta = self.cache.meta
        said = Encoding(
            meta.code[slots].astype(np.int64),
            meta.distance[slots],
            meta.margin[slots],
            meta.type[slots].astype(np.int64),
            meta.confidence[slots],
        )
        unasked = np.isnan(said.distance) | (meta.version[slots] != self._version)
        if unasked.any():
            fresh = self.encoder.encode(vectors(self.cache.table.states, slots[unasked]))
            said.code[unasked], said.type[unasked] = fresh.code, fresh.type
            said.distance[unasked], said.margin[unasked] = fresh.distance, fresh.margin
            said.confidence[unasked] = fresh.confidence
        return said

    # ---- look

    def _compare(self, shadow: Encoder, steps: Steps, encoding: Encoding) -> None:
        try:
            other = shadow.encode(steps.vectors)
        except InferenceError as error:  # a candidate must not harm the champion
            log.error("shadow_failed", error=str(error))
            self.shadow_with(None)
            return
        self._metrics.shadow_agreement.set(float(np.mean(other.code == encoding.code)))

    def _observe(self, batch: Batch, decoded: float, folded: float, encoded: float) -> None:
        tagged = time.time()
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
        self._metrics.cache_buyers.set(len(self.cache.table))
        self._metrics.cache_bytes.set(self.cache.used_bytes)
