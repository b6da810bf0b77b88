"""The confluent-kafka loop: micro-batches, ownership, checkpoints, and recovery by reading again.

One thread owns consumer, cache and checkpoint. Rebalances are served inside `consume`, in this
thread. Where a partition begins is the store's word, never the group's committed offset. Whatever
goes wrong on the way (store, encoder, producer, fence), the answer is one: drop the cache, read the
store's progress, seek there, go on (docs/adr/0003).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from feature_store.errors import (
    FencedError,
    OnlineStoreError,
    PartitionCountError,
    ProducerError,
    TopicError,
)
from feature_store.log.producer import Output
from feature_store.online.rows import OnlineRows
from inference.encoders.encoder import Encoder
from inference.errors import EncoderUnavailableError
from streams.errors import ConsumerError, UnreadableRowError
from streams.live.calibrating import take_calibrations
from streams.live.checkpoint import Checkpointer
from streams.live.clock import Clock
from streams.live.leaving.erasing import Eraser
from streams.live.leaving.opt_outs import OptOuts
from streams.live.partition import Partition
from streams.live.pending import PendingErasures
from streams.live.sequence import InSequence
from streams.live.tagger import Tagger
from streams.live.takeover import EndOffsets, Takeover
from streams.live.unreadable_rows.holds import Held, Holds
from streams.metrics import WorkerMetrics
from streams.settings import WorkerSettings

log = structlog.get_logger(__name__)

RECOVERABLE: Final = (OnlineStoreError, EncoderUnavailableError, ProducerError, TopicError)
_LAG_EVERY_S: Final = 2.0
Command = Callable[["ConsumerLoop"], None]


class _Memory(Enum):
    """Whether what is in memory goes on from what the store holds."""

    SOUND = auto()
    VOID = auto()
    """A step failed half way: nothing is folded or written until the store was read again."""


class ConsumerLoop:
    """Runs the live path until it is asked to stop.

    All methods but `stop` and `submit` belong to the loop's thread. Everything outside of the process
    (consumer, store, producer, encoder, clock) is handed in: tests/simulation can be that outside.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        consumer: Consumer,
        ends: EndOffsets,
        rows: OnlineRows,
        output: Output,
        tagger: Tagger,
        erasures: PendingErasures,
        metrics: WorkerMetrics,
        clock: Clock,
    ) -> None:
        self.tagger, self.partitions = tagger, dict[int, Partition]()
        self._settings, self._rows, self._output = settings, rows, output
        self._metrics, self._clock = metrics, clock
        opt_outs = OptOuts(rows, tagger.cache)
        self._eraser = Eraser(settings.erasures_topic, output, tagger, erasures, opt_outs, metrics, clock)
        self._takeover = Takeover(settings.topic, ends, rows, tagger, erasures)
        self._checkpointer = Checkpointer(rows, output, tagger, metrics, clock)
        self._consumer, self._in_sequence = consumer, InSequence(settings.topic, consumer, metrics)
        self._holds = Holds(metrics, clock, settings.retry_ms / 1000)
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._successor: Encoder | None = None
        self._stopping = threading.Event()
        self._memory = _Memory.SOUND
        self._next_checkpoint = self._next_lag = 0.0

    def stop(self) -> None:
        """Ask the loop to checkpoint, leave the group and return."""
        self._stopping.set()

    def submit(self, command: Command) -> None:
        """Have a command run in the loop's thread, between two batches."""
        self._commands.put(command)

    def run(self) -> None:
        """Consume until `stop`.

        Raises:
            ConsumerError: the consumer is fatally broken; a restarted process goes on from the store.
        """
        self._consumer.subscribe(
            [self._settings.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        try:
            while not self._stopping.is_set():
                self._turn()
            if self._memory is _Memory.SOUND:  # else memory holds half a batch: the store is the truth
                self._try("last checkpoint", self._checkpoint)
        finally:
            self.partitions.clear()  # on_revoke inside close() has nothing left to write
            self._consumer.close()

    def _turn(self) -> None:
        if self._clock.monotonic() >= self._next_lag:
            self._report_lag()
            self._next_lag = self._clock.monotonic() + _LAG_EVERY_S
        while not self._commands.empty():
            self._commands.get()(self)
        if self._memory is _Memory.VOID and not self._recovered():
            self._consume(1, self._settings.retry_ms / 1000)  # paused: only serves the group
            return
        for held in self._holds.due():
            self._try("held partition", lambda held=held: self._take_up(held))  # type: ignore[misc]
        messages = self._consume(self._settings.batch_events, self._settings.batch_wait_ms / 1000)
        if self._memory is _Memory.SOUND:  # else a rebalance inside `consume` failed
            self._try("batch", lambda: self._handle(messages))

    def _handle(self, messages: list[Message]) -> None:
        ours = self._in_sequence.keep(self.partitions, messages)
        events = self._eraser.honour(self.partitions, ours)
        events = take_calibrations(self.partitions, events, self._metrics)
        if events:
            self.tagger.tag(self.partitions, events)
        self._output.poll()
        if self._successor is not None:
            self._hand_over(self._successor)
        self.tagger.reannouncer.walk(self.partitions)
        now = self._clock.monotonic()
        cache = self.tagger.cache
        if (
            now >= self._next_checkpoint
            or cache.is_full
            or cache.dirty_count() >= self._settings.checkpoint_rows
        ):
            self._eraser.catch_up(self.partitions)
            self._checkpoint()
            self._metrics.evictions.inc(cache.evict())
            self._next_checkpoint = self._clock.monotonic() + self._settings.checkpoint_ms / 1000

    def _consume(self, count: int, timeout: float) -> list[Message]:
        messages = []
        for message in self._consumer.consume(count, timeout):
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.fatal():
                raise ConsumerError(f"the consumer cannot go on: {error.str()}; restart the worker")
            else:
                log.warning("consumer_error", code=error.name(), retriable=error.retriable())
        return messages

    # ---- ownership

    def _assigned(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        numbers = [tp.partition for tp in assigned]
        starts = [TopicPartition(self._settings.topic, number, OFFSET_BEGINNING) for number in numbers]
        try:
            self._own(numbers)
            for start in starts:
                if start.partition in self.partitions:
                    start.offset = self.partitions[start.partition].next_offset or OFFSET_BEGINNING
        except RECOVERABLE as error:
            # The store does not say where to begin: hold everything until it does.
            self._give_up("assignment", error)
            self.partitions.update({number: self._takeover.unknown(number) for number in numbers})
        consumer.incremental_assign(starts)
        waits = [start for start in starts if self._memory is _Memory.VOID or start.partition in self._holds]
        consumer.pause(waits)
        # librdkafka keeps a pause over losing and getting back a partition: one from a recovery that
        # was cut off by a rebalance would last for ever.
        consumer.resume([start for start in starts if start not in waits])
        self._next_lag = 0.0
        log.info("partitions_assigned", partitions=numbers)

    def _own(self, numbers: list[int]) -> None:
        """Take partitions over; one of which a row cannot be read is held instead."""
        while True:
            try:
                for partition in self._takeover.begin(numbers):
                    self.partitions[partition.number] = partition
                    self._holds.end(partition.number)
                break
            except UnreadableRowError as error:
                self._hold(error)
                numbers = [number for number in numbers if number != error.partition]
        self._metrics.owned.set(len(self.partitions))

    def _hold(self, error: UnreadableRowError) -> None:
        """Let a partition wait. Nothing of it is folded until its row can be read; the others go on."""
        partition = self.partitions.get(error.partition)
        place = None if partition is None or partition.written is None else partition.written.next_offset
        self._forget([error.partition])
        self._holds.add(error, place)

    def _take_up(self, held: Held) -> None:
        """Look whether a held partition can go on."""
        try:
            self._own([held.number])
            partition = self.partitions.get(held.number)
            if partition is not None and held.key is not None and held.key not in partition.erased:
                self.tagger.check(held.number, held.key)
        except UnreadableRowError as error:
            self._hold(error)
        if held.number in self.partitions:
            start = self.partitions[held.number].next_offset
            here = TopicPartition(self._settings.topic, held.number, start)
            self._consumer.seek(here)
            self._consumer.resume([here])
            log.info("partition_goes_on", partition=held.number, offset=start)

    def _revoked(self, _consumer: Consumer, revoked: list[TopicPartition]) -> None:
        leaving = [self.partitions[tp.partition] for tp in revoked if tp.partition in self.partitions]
        if self._memory is _Memory.SOUND:
            self._try("revocation", lambda: self._checkpointer.run(leaving, self._commit))
        self._forget([tp.partition for tp in revoked])
        log.info("partitions_revoked", partitions=[partition.number for partition in leaving])

    def _lost(self, _consumer: Consumer, lost: list[TopicPartition]) -> None:
        self._forget([tp.partition for tp in lost])
        log.warning("partitions_lost", partitions=[tp.partition for tp in lost])

    def _forget(self, numbers: list[int]) -> None:
        for number in numbers:
            self.partitions.pop(number, None)
            self._metrics.lag.remove_by_labels({"partition": str(number)})
            self.tagger.forget(number)
            self._holds.end(number)
        self._metrics.owned.set(len(self.partitions))

    # ---- checkpoint and recovery

    def _checkpoint(self) -> None:
        self._check_fence()
        self._checkpointer.run(self.partitions.values(), self._commit)
        self._eraser.settle(self.partitions)

    def _check_fence(self) -> None:
        """Notice a store that was rolled back under partitions with nothing to write."""
        idle = [number for number, partition in self.partitions.items() if not partition.moved]
        for number, stored in self._rows.progress_of(idle).items():
            if stored != self.partitions[number].written:
                raise FencedError(f"partition {number} was written by another owner, or the store went back")

    def _commit(self, offsets: dict[int, int]) -> None:
        self._consumer.commit(
            offsets=[TopicPartition(self._settings.topic, number, at) for number, at in offsets.items()],
            asynchronous=True,
        )

    def _try(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except PartitionCountError:
            raise  # reading again would not help: this release must not serve this store
        except UnreadableRowError as error:
            self._hold(error)
            self._give_up(what, error)
        except RECOVERABLE as error:
            self._give_up(what, error)
        except KafkaException as error:
            if error.args[0].fatal():
                raise ConsumerError(f"the consumer cannot go on: {error}; restart the worker") from error
            self._give_up(what, error)

    def _give_up(self, what: str, error: Exception) -> None:
        cause = type(error).__name__
        log.warning("reading_again", step=what, cause=cause, error=str(error))
        self._metrics.recoveries.labels(cause).inc()
        self._memory = _Memory.VOID
        self._metrics.waiting.set(1)

    def _recovered(self) -> bool:
        """Drop the cache, read the store's progress, seek there. False while the store does not answer."""
        owned = list(self.partitions)
        for number in owned:
            self.tagger.forget(number)
        if self._successor is not None:  # the encoder that is away may be the one to be replaced
            self._use_successor(self._successor)
        held = [TopicPartition(self._settings.topic, number) for number in self._holds.offsets()]
        here = [TopicPartition(self._settings.topic, number) for number in owned]
        try:
            self._consumer.pause(here + held)
            self._own(owned)
            self.tagger.champion.encoder.probe()
            here = [one for one in here if one.partition in self.partitions]
            for one in here:
                one.offset = self.partitions[one.partition].next_offset
                self._consumer.seek(one)
            self._consumer.resume(here)
        except (*RECOVERABLE, KafkaException) as error:
            log.warning("still_waiting", cause=type(error).__name__, error=str(error))
            return False
        log.info("reading_on", partitions=owned)
        self._memory = _Memory.SOUND
        self._metrics.waiting.set(0)
        return True

    # ---- swap

    def swap(self, encoder: Encoder) -> None:
        """Answer with another encoder as soon as what was folded is checkpointed.

        The version that answers already changes nothing: a promotion may be ordered twice.
        """
        if self._successor is None and encoder.codebook_version == self.tagger.champion.name:
            encoder.close()
            return
        if self._successor is not None:
            self._successor.close()
        self._successor = encoder

    def _hand_over(self, successor: Encoder) -> None:
        self._checkpoint()  # what was folded is in the store as it was assigned
        self._use_successor(successor)
        for partition in self.partitions.values():
            partition.tag_as = self.tagger.champion.takes_over(partition.tagged)
            partition.walked = 0
            self._takeover.claim(partition)

    def _use_successor(self, encoder: Encoder) -> None:
        self._successor = None
        before = self.tagger.use(encoder)
        before.close()
        log.info("swapped", before=before.codebook_version, now=encoder.codebook_version)

    def _report_lag(self) -> None:
        folded = {number: partition.next_offset for number, partition in self.partitions.items()}
        for number, next_offset in (folded | self._holds.offsets()).items():
            # cached: what the last fetch said, no request
            _, end = self._consumer.get_watermark_offsets(
                TopicPartition(self._settings.topic, number), cached=True
            )
            self._metrics.lag.labels(str(number)).set(max(0, end - next_offset))
