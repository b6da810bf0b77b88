"""Answers to requests without a key that holds: one after the other, with a pause, whoever asks."""

from __future__ import annotations

import asyncio
from typing import Final

_PAUSE_S: Final = 0.004
_MOST_WAITING: Final = 256


class Strangers:
    """So that a flood of them takes a share of the process and no more. Of the event loop's thread.

    Where too many wait already, the next ones are answered at once: holding them would cost more.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def wait(self) -> None:
        """Until it is the caller's turn."""
        if self._waiting >= _MOST_WAITING:
            return
        self._waiting += 1
        try:
            async with self._turn:
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._waiting -= 1
