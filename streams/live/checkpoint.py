"""The checkpoint: after it, what was folded is in the store and what was assigned is in Kafka.

The order is the proof (live_probe rules; docs/adr/0004). A crash between any two steps loses nothing:
up to step 3 the store still has the old progress, so the records are read again, and assignments go
out at least once; after step 3 everything counts, and step 4 only reports lag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.behavior import SESSION_GAP_MS
from feature_store.log.producer import Output
from feature_store.online.fence import Checkpoint
from feature_store.online.rows import OnlineRows
from streams.live.clock import Clock
from streams.live.partition import Partition
from streams.live.tagger import Tagger
from streams.metrics import WorkerMetrics

_SESSIONS_A_CHECKPOINT: Final = 5_000  # what is left ends at the next one; a backlog must not block folding

Commit = Callable[[dict[int, int]], None]


class Checkpointer:
    """Writes what the tagger has in memory, a partition a transaction."""

    def __init__(
        self, rows: OnlineRows, output: Output, tagger: Tagger, metrics: WorkerMetrics, clock: Clock
    ) -> None:
        self._rows, self._output, self._tagger = rows, output, tagger
        self._metrics, self._clock = metrics, clock

    def run(self, partitions: Iterable[Partition], commit: Commit) -> None:
        """Checkpoint these partitions; `commit` takes {partition: next offset} to Kafka.

        Raises:
            OnlineStoreError, EncoderUnavailableError, ProducerError: see Tagger.tag.
        """
        started = self._clock.monotonic()
        moved = [partition for partition in partitions if partition.moved]
        # 1. Say which sessions the watermark has ended.
        changes = [(partition, self._end_sessions(partition)) for partition in moved]
        # 2. Wait until every assignment is acknowledged.
        self._output.flush()
        for partition, change in changes:
            # 3. One fenced transaction: rows, counts, sessions, erasures, progress.
            dirty = self._tagger.cache.dirty(partition.number)
            change.rows = self._tagger.cache.rows(dirty)
            change.windows = self._tagger.windows.dirty(partition.number)
            self._rows.checkpoint(partition.number, change, partition.written, partition.persona_writes)
            self._tagger.cache.mark_written(dirty)
            self._tagger.windows.written(partition.number, partition.watermark)
            partition.written, partition.tagged = change.progress, partition.tag_as
            partition.erased, partition.retagged, partition.unwritten = set(), False, {}
            partition.has_opt_outs |= bool(partition.unwritten_opt_outs)
            partition.unwritten_opt_outs = {}
            self._metrics.checkpoint_rows.inc(len(dirty))
        # 4. Report to Kafka; the store's progress is the truth.
        if moved:
            commit({partition.number: partition.next_offset for partition in moved})
            self._metrics.checkpoint_seconds.observe(self._clock.monotonic() - started)
            self._metrics.feature_age.set(
                max(0.0, (self._clock.now_ms() - max(partition.create_time for partition in moved)) / 1000)
            )

    def _end_sessions(self, partition: Partition) -> Checkpoint:
        """Announce ended sessions; returns the change with who is now open and who is closed."""
        cache, ended_before = self._tagger.cache, partition.watermark - SESSION_GAP_MS
        dirty = cache.dirty(partition.number)
        still_open = cache.last_times(dirty) >= ended_before
        change = Checkpoint(
            partition.progress,
            opened=self._by_last_time(dirty[still_open]),
            erased=sorted(partition.erased),
            tagged=None if partition.tagged == partition.tag_as else partition.tag_as,
            calibrations=dict(partition.unwritten),
            opt_outs=dict(partition.unwritten_opt_outs),
        )
        ended = set(cache.keys_of(dirty[~still_open]))
        for key in self._rows.sessions_to_end(partition.number, ended_before, _SESSIONS_A_CHECKPOINT):
            if key not in change.opened and key not in partition.erased:
                ended.add(key)
        change.closed = sorted(ended)
        if change.closed:
            self._tagger.reannouncer.end_sessions(partition, change.closed)
        return change

    def _by_last_time(self, slots: NDArray[np.int64]) -> dict[bytes, int]:
        cache = self._tagger.cache
        return dict(zip(cache.keys_of(slots), cache.last_times(slots).tolist(), strict=True))
