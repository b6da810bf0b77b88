"""Partitions that wait, because a row of theirs cannot be read; all others go on (docs/adr/0050)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from streams.errors import UnreadableRowError
from streams.live.clock import Clock
from streams.live.unreadable_rows.naming import mark_of
from streams.metrics import WorkerMetrics

log = structlog.get_logger(__name__)

_LONGEST_WAIT_S: Final = 60.0


@dataclass
class Held:
    """A partition that waits: from which offset on, for whose row (None: of the partition itself), how often
    the row was looked at, and when it is looked at next (s, monotonic)."""

    number: int
    offset: int
    key: bytes | None
    looked: int
    next_at: float


class Holds:
    """The held partitions of a worker. Of the loop's thread."""

    def __init__(self, metrics: WorkerMetrics, clock: Clock, retry_s: float) -> None:
        """retry_s: until the first look; the wait doubles up to a minute."""
        self._metrics, self._clock, self._retry_s = metrics, clock, retry_s
        self._held: dict[int, Held] = {}
        self._before: dict[int, Held] = {}
        """What a partition was held for last: one that is held again at the same place waits longer."""

    def __contains__(self, number: int) -> bool:
        return number in self._held

    def offsets(self) -> dict[int, int]:
        """Held partitions, and from where each waits."""
        return {held.number: held.offset for held in self._held.values()}

    def add(self, error: UnreadableRowError, offset: int | None) -> None:
        """Hold the partition of a row that cannot be read. offset: the first record that is not folded; None
        where the store does not say."""
        number, key = error.partition, error.key
        before = self._held.get(number) or self._before.get(number)
        if offset is None:
            offset = 0 if before is None else before.offset
        again = before is not None and (before.offset, before.key) == (offset, key)
        looked = before.looked + 1 if before is not None and again else 0
        wait = min(self._retry_s * 2.0**looked, _LONGEST_WAIT_S)
        self._held[number] = Held(number, offset, key, looked, self._clock.monotonic() + wait)
        self._count()
        log.error(
            "partition_held",
            partition=number,
            offset=offset,
            row=error.what,
            store=None if key is None else key.partition(b"|")[0].decode(errors="replace"),
            buyer=None if key is None else mark_of(key),
            error=str(error),
            next_look_s=round(wait, 1),
        )

    def due(self) -> list[Held]:
        """Those to look at now."""
        now = self._clock.monotonic()
        return [held for held in self._held.values() if held.next_at <= now]

    def end(self, number: int) -> None:
        """The partition goes on, or is no longer ours."""
        held = self._held.pop(number, None)
        if held is not None:
            self._before[number] = held
            self._count()

    def _count(self) -> None:
        self._metrics.held.set(len(self._held))
