"""Erasing buyers where the log says so: the request in their partition voids what lies before it.

The request is a record between the buyer's events, so every owner finds it at the same place, after any
kill, replay or takeover (docs/adr/0033). A withdrawal of consent is such a request, and what comes after it
is void too, until consent is given again (docs/adr/0061). What the topic of erasures says earlier, while the
request still waits in the log, is obeyed at once: rows go, and what lies before it is left out on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import structlog
from confluent_kafka import Message

from feature_store.contract.erasure import Erasure, encode_erasure, request_of
from feature_store.contract.partitions import partition_of
from feature_store.log.producer import Output
from streams.live.clock import Clock
from streams.live.leaving.opt_outs import OptOuts, take_consent
from streams.live.partition import Partition
from streams.live.pending import PendingErasures
from streams.live.tagger import Tagger
from streams.metrics import WorkerMetrics

log = structlog.get_logger(__name__)


class Eraser:
    """Takes requests and void records out of what the tagger is to fold. Of the loop's thread."""

    def __init__(
        self,
        topic: str,
        output: Output,
        tagger: Tagger,
        pending: PendingErasures,
        opt_outs: OptOuts,
        metrics: WorkerMetrics,
        clock: Clock,
    ) -> None:
        """`topic` is that of the erasures."""
        self._opt_outs = opt_outs
        self._topic, self._output, self._metrics = topic, output, metrics
        self._tagger, self._pending, self._clock = tagger, pending, clock

    def honour(self, partitions: Mapping[int, Partition], messages: Sequence[Message]) -> list[Message]:
        """Obey the requests among records of owned partitions; returns the records that are to be folded.

        Several requests of a buyer in a batch are one: the last. The next checkpoint waits until their
        records are acknowledged, and deletes the rows in the transaction that passes the requests.

        Raises:
            ProducerError, OnlineStoreError: see Tagger.tag.
        """
        rest, asked = [], dict[tuple[int, bytes], Erasure]()
        for message in messages:
            erasure = self._asked(message) if message.value() is None else None
            if erasure is None:
                rest.append(message)
            else:
                asked[erasure.partition, message.key()] = self._after(
                    asked.get((erasure.partition, message.key())), erasure
                )
        if asked:
            self._obey(partitions, asked)
        return self._without_opted_out(partitions, self._without_void(partitions, rest))

    def catch_up(self, partitions: Mapping[int, Partition]) -> None:
        """Obey what the topic of erasures says of requests that lie ahead in our partitions.

        Raises:
            OnlineStoreError: see Tagger.tag.
        """
        for key, erasure in self._pending.arrived():
            partition = partitions.get(erasure.partition)
            if partition is not None and erasure.before_offset > partition.next_offset:
                self._forget(partition, key, erasure)

    def settle(self, partitions: Mapping[int, Partition]) -> None:
        """After a checkpoint: the erasures that it passed are done."""
        for number, partition in partitions.items():
            if partition.written is not None and self._pending.of(number):
                self._pending.passed(number, partition.written.next_offset)

    def _asked(self, message: Message) -> Erasure | None:
        """The erasure that a record without a value asks for; None for one that the tagger has to refuse."""
        key, number, request = message.key(), message.partition(), request_of(message)
        if request is None or not key or partition_of(key, self._tagger.partition_count) != number:
            return None
        found = request.at(number, message.offset())
        return msgspec.structs.replace(found, erased_at=self._clock.now_ms())

    @staticmethod
    def _after(before: Erasure | None, erasure: Erasure) -> Erasure:
        """An erasure that follows another of the buyer in a batch: what that one says of consent stays."""
        if before is None or before.consent is None or erasure.consent is not None:
            return erasure
        return msgspec.structs.replace(erasure, consent=before.consent)

    def _obey(self, partitions: Mapping[int, Partition], asked: Mapping[tuple[int, bytes], Erasure]) -> None:
        silent = [buyer for buyer, erasure in asked.items() if erasure.consent is None]
        opted_out = self._opt_outs.of(partitions, silent)
        for (number, key), request in asked.items():
            erasure = request
            if (number, key) in opted_out:  # who is erased stays opted out
                erasure = msgspec.structs.replace(request, consent="withdrawn")
            elif request.consent is not None:
                self._metrics.consents.labels(request.consent).inc()
            self._output.send(self._topic, key, encode_erasure(erasure))
            self._pending.add(key, erasure)
            self._forget(partitions[number], key, erasure)
        self._metrics.erasures.inc(len(asked))
        log.info("buyers_erased", buyers=len(asked), partitions=sorted({number for number, _ in asked}))

    def _without_void(
        self, partitions: Mapping[int, Partition], messages: Sequence[Message]
    ) -> Sequence[Message]:
        """Leave out what lies before a pending erasure of its buyer."""
        if not any(self._pending.of(number) for number in partitions):
            return messages
        kept = [message for message in messages if not self._is_void(message)]
        self._metrics.erased.inc(len(messages) - len(kept))
        self._metrics.events.inc(len(messages) - len(kept))
        return kept

    def _without_opted_out(
        self, partitions: Mapping[int, Partition], messages: Sequence[Message]
    ) -> list[Message]:
        """Leave out records of who has opted out; what is refused of theirs is no dead letter either."""
        if not any(it.has_opt_outs or it.unwritten_opt_outs for it in partitions.values()):
            return list(messages)
        keyed = [(message.partition(), message.key()) for message in messages]
        opted_out = self._opt_outs.of(partitions, [buyer for buyer in keyed if buyer[1]])
        kept = [message for message, buyer in zip(messages, keyed, strict=True) if buyer not in opted_out]
        self._metrics.opted_out.inc(len(messages) - len(kept))
        self._metrics.events.inc(len(messages) - len(kept))
        return kept

    def _is_void(self, message: Message) -> bool:
        return bool(message.offset() < self._pending.void_before(message.partition(), message.key()))

    def _forget(self, partition: Partition, key: bytes, erasure: Erasure) -> None:
        self._tagger.cache.remove([key])
        partition.erased.add(key)
        take_consent(partition, key, erasure)
