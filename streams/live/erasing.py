"""Erasing a buyer on request: written to the erasures topic, then out of cache and store."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from feature_store.contract.erasure import Erasure, encode_erasure
from feature_store.contract.partitions import partition_of
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from streams.live.clock import Clock
from streams.live.partition import Partition
from streams.live.tagger import Tagger

log = structlog.get_logger(__name__)


class Eraser:
    """Keeps each request until the owner of the buyer's partition has honoured it. Of the loop's thread."""

    def __init__(
        self, topic: str, output: Output, tagger: Tagger, erasures: ErasureLog, clock: Clock
    ) -> None:
        """`topic` is that of the erasures."""
        self._topic, self._output, self._clock = topic, output, clock
        self._tagger, self._erasures = tagger, erasures
        self._wanted: dict[bytes, int] = {}

    def request(self, key: bytes, requested_at: int) -> None:
        """Remember that a buyer is to be erased, until the owner of their partition has done it."""
        self._wanted[key] = max(requested_at, self._wanted.get(key, 0))

    def honour(self, partitions: Mapping[int, Partition], checkpoint: Callable[[], None]) -> None:
        """Erase who was asked for and lives in a partition of ours.

        A request for another's partition stays: the partition may come to us before it is honoured.
        `checkpoint` writes what is in memory of all our partitions, or raises because one is ours no more.

        Raises:
            OnlineStoreError, EncoderUnavailableError, ProducerError: see Tagger.tag. A request that was not
                written to the topic stays, too; of one that was, the next takeover finds the void rows.
        """
        for key, requested_at in list(self._wanted.items()):
            known = self._erasures.by_key.get(key)
            if known is not None and known.requested_at >= requested_at:
                del self._wanted[key]
                continue
            partition = partitions.get(partition_of(key, self._tagger.partition_count))
            if partition is not None:
                self._erase(key, requested_at, partition, checkpoint)

    def _erase(
        self, key: bytes, requested_at: int, partition: Partition, checkpoint: Callable[[], None]
    ) -> None:
        # First become sure that the partition is ours, up to a known offset: a zombie stops here.
        checkpoint()
        erasure = Erasure(
            partition=partition.number,
            before_offset=partition.next_offset,
            requested_at=requested_at,
            erased_at=self._clock.now_ms(),
        )
        self._output.send(self._topic, key, encode_erasure(erasure))
        self._output.flush()
        self._erasures.add(key, erasure)
        self._tagger.cache.remove([key])
        partition.erased.append(key)
        checkpoint()
        log.info("buyer_erased", partition=partition.number, before_offset=erasure.before_offset)
