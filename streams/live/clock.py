"""The time as the live path reads it: one object, so that a test can be the only one to move it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the live path reads the time."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def now_s(self) -> float:
        """Wall clock, seconds since the epoch; it may jump."""
        ...

    def now_ms(self) -> int:
        """The same in whole milliseconds."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()

    def now_s(self) -> float:
        """Wall clock, seconds since the epoch; it may jump."""
        return time.time()

    def now_ms(self) -> int:
        """The same in whole milliseconds."""
        return time.time_ns() // 1_000_000
