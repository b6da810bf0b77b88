"""Each record of a partition once, in order, without a hole that is not in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from confluent_kafka import Consumer, Message, TopicPartition

from streams.live.partition import Partition
from streams.metrics import WorkerMetrics

log = structlog.get_logger(__name__)


class InSequence:
    """What a consumer hands out, put in order by the offsets that come next. Of the loop's thread."""

    def __init__(self, topic: str, consumer: Consumer, metrics: WorkerMetrics) -> None:
        self._topic, self._consumer, self._metrics = topic, consumer, metrics

    def keep(self, partitions: Mapping[int, Partition], messages: Sequence[Message]) -> list[Message]:
        """Keep what continues its partition; skip what was folded; go back once to look at a hole."""
        ours = []
        sought: set[int] = set()
        for message in messages:
            number, offset = message.partition(), message.offset()
            partition = partitions.get(number)
            if partition is None or number in sought or offset < partition.next_offset:
                continue
            if offset > partition.next_offset and not self._hole_is_real(partition, offset):
                sought.add(number)
                continue
            partition.next_offset = offset + 1
            ours.append(message)
        return ours

    def _hole_is_real(self, partition: Partition, offset: int) -> bool:
        """Believe a hole in the log (retention, transaction markers) only when it is there twice."""
        if partition.hole_at != offset:
            partition.hole_at = offset
            self._consumer.seek(TopicPartition(self._topic, partition.number, partition.next_offset))
            return False
        skipped = offset - partition.next_offset
        log.warning("offsets_skipped", partition=partition.number, skipped=skipped, at=offset)
        self._metrics.skipped_offsets.inc(skipped)
        partition.hole_at = -1
        return True
