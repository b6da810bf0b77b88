"""Where the demo shows itself: a live table on a terminal, a line every two seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.live import Live

from ops.demo.display.view import Snapshot, plain_line, render
from ops.stack.processes import Say

Show = Callable[[Snapshot], None]
_LINE_EVERY_S: Final = 2.0


@contextmanager
def screen(console: Console, say: Say) -> Iterator[Show]:
    """What shows a snapshot, as often as it is called, for as long as the context lasts."""
    if console.is_terminal:
        # Drawn only when asked: a second thread that draws too makes the screen flicker. What is said on the
        # same terminal goes above the table; what is said to a file stays there.
        with Live(console=console, auto_refresh=False, redirect_stderr=sys.stderr.isatty()) as live:
            yield lambda snapshot: live.update(render(snapshot), refresh=True)
    else:
        yield _Lines(say)


class _Lines:
    def __init__(self, say: Say) -> None:
        self._say = say
        self._next = 0.0

    def __call__(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._say(plain_line(snapshot))
            self._next = now + _LINE_EVERY_S
