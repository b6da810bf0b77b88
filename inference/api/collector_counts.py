"""The collector's counts of what it understands and of what it refuses, kept in the process and added to the
store now and then."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from feature_store.errors import OnlineStoreError
from feature_store.online.client import AsyncStore
from feature_store.online.intake import Items, add_items
from feature_store.online.refusals import HOUR_MS, RefusedKind, add_refusals
from inference.counts.windows import OTHERS, WindowSettings

log = structlog.get_logger(__name__)

_EVERY_S: Final = 2.0
_MOST: Final = 2_000
"""Shops in a batch, and kinds of refusals; those beyond count together. It bounds memory and the round
trip."""


class IntakeTally:
    """Counts of the door by window of the clock and shop. Of the event loop's thread.

    A request only adds to a dict. What the store does not take is dropped with a warning: counts are for
    drift, and neither a request nor memory may depend on them.
    """

    def __init__(self, store: AsyncStore, topic: str, windows: WindowSettings) -> None:
        self._store, self._topic, self._windows = store, topic, windows
        self._met: dict[tuple[int, str], Items] = {}
        self._refused: dict[tuple[int, RefusedKind], int] = {}
        self._away = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to add to the store, in a task of its own."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Add what is left, and end."""
        if self._task is not None:
            self._task.cancel()
        await self.flush()

    def add(self, shop: str, known: int, unknown: int) -> None:
        """Note items of a shop (OTHERS: nobody says whose)."""
        number = time.time_ns() // 1_000_000 // self._windows.length_ms
        key = (number, shop)
        if key not in self._met and len(self._met) >= _MOST:
            key = (number, OTHERS)
        self._met[key] = self._met.get(key, Items(0, 0)).plus(known, unknown)

    def refuse(self, kind: RefusedKind) -> None:
        """Note an item that was refused."""
        hour = time.time_ns() // 1_000_000 // HOUR_MS
        if (hour, kind) not in self._refused and len(self._refused) >= _MOST:
            kind = RefusedKind(OTHERS, "", kind.reason, "")
        self._refused[hour, kind] = self._refused.get((hour, kind), 0) + 1

    async def flush(self) -> None:
        """Add what was noted to the store; never raises for a store that is away."""
        met, self._met = self._met, {}
        refused, self._refused = self._refused, {}
        if not met and not refused:
            return
        try:
            await add_items(self._store, self._topic, self._windows.length_ms, self._windows.keep_s, met)
            await add_refusals(self._store, self._topic, refused)
        except OnlineStoreError as error:
            if not self._away:
                log.warning("intake_not_counted", error=str(error))
            self._away = True
        else:
            self._away = False

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.flush()
