"""Ctrl-C at any time: it ends the demo, but never disturbs the demo's own clean-up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """SIGINT was asked for.

    Not KeyboardInterrupt itself: CPython notes one that leaves an exec() (dataclasses and named tuples
    are made by it, so any import may be in one), and then dies of SIGINT at its end, though it was caught.
    """


class Interrupts:
    """Raises Interrupted for SIGINT and SystemExit(128 + n) for SIGTERM and SIGHUP, until `ignore`."""

    def __init__(self) -> None:
        self._ignored = False

    def ignore(self) -> None:
        """From now on the process ends by itself, soon: what is asked has been heard."""
        self._ignored = True

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if self._ignored:
            return
        if number == signal.SIGINT:
            raise Interrupted
        raise SystemExit(128 + number)


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Take the signals that end a command, and give them back to whoever had them."""
    taken = Interrupts()
    before: dict[int, Any] = {number: signal.signal(number, taken) for number in _SIGNALS}
    try:
        yield taken
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
