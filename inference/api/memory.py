"""What the C library keeps of memory that was freed."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
"""glibc's number of the option in mallopt(3)."""
_ARENAS: Final = 2


def bound_arenas() -> None:
    """Let threads share two arenas of glibc, from now on; other C libraries have none.

    Each new thread would get one of its own, up to eight per core, and what is freed in one is not used in
    another. Every resumed stream has a Kafka client with several threads, so that each attack by slow readers
    left some MB more in other arenas.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
