"""Whether this process may be sent requests: asked without a key, so asking often must cost little."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from feature_store.errors import OnlineStoreError
from inference.api.state import State

_FRESH_S: Final = 0.25


class Readiness:
    """What this process still waits for. Of the event loop's thread."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._asking: asyncio.Task[bool] | None = None
        self._asked_at = 0.0

    async def missing(self) -> list[str]:
        """In words; [] when it is ready."""
        state = self._state
        waits = []
        if not state.tail.caught_up.is_set():
            waits.append("erasures, keys and commands are not read yet")
        if state.producer.stalled():
            waits.append("Kafka acknowledges nothing")
        if state.hub.closed:
            waits.append("the process ends")
        if not await self._store_answers():
            waits.append("the online store does not answer")
        await state.models.settled()
        return waits

    async def _store_answers(self) -> bool:
        """One question to the store at a time, for all who ask within a moment."""
        if self._asking is None or (self._asking.done() and time.monotonic() - self._asked_at > _FRESH_S):
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._ping())
        return await asyncio.shield(self._asking)

    async def _ping(self) -> bool:
        try:
            await self._state.buyers.ping()
        except OnlineStoreError:
            return False
        return True
