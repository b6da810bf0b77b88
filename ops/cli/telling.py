"""Lines for a person on stderr, which never hold a command up."""

from __future__ import annotations

import select
import sys


def tell(line: str) -> None:
    """Print a line on stderr; drop it where that is a pipe which is full, because nobody reads it.

    Else a command that somebody started and does not listen to would stop at its next line, and hang in its
    clean-up after a signal.
    """
    try:
        _, has_room, _ = select.select([], [sys.stderr], [], 0)
    except (OSError, ValueError):  # not a file of the kernel's: a test's
        has_room = [sys.stderr]
    if has_room:
        print(line, file=sys.stderr, flush=True)
