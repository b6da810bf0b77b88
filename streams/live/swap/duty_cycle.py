"""A share of a thread's time for work that may wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Share:
    """After work that took t seconds it rests for t * (1 / share - 1): live events come first."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`share` of the time, above 0 and at most 1."""
        self._rest, self._clock = 1.0 / share - 1.0, clock
        self._free_at = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds until the next work is due; 0 if it is."""
        return max(0.0, self._free_at - self._clock())

    @contextmanager
    def spend(self) -> Iterator[None]:
        """Do a piece of work."""
        began = self._clock()
        try:
            yield
        finally:
            now = self._clock()
            self._free_at = now + (now - began) * self._rest
