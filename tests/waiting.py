"""Waiting in tests: until something holds, until a moment that a seed drew, or at a pace.

Limits are generous, because a busy machine is slow, not wrong; no test asserts a time. test_suite.py sees
to it that nobody else sleeps.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import psutil

PATIENCE_S = 120
_POLL_S = 0.05


def wait_until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    """Poll until `holds()`; fail with `what` was waited for after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(_POLL_S)


async def eventually(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """`wait_until` among tasks."""
    deadline = time.monotonic() + PATIENCE_S
    while not await holds():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what}"
        await asyncio.sleep(_POLL_S)


def random_moment(draw: random.Random, low_s: float, high_s: float) -> float:
    """Let a drawn moment pass before a kill or a signal; returns it, s.

    It is part of what a test tries, as a drawn input is: what is true must be true wherever the kill falls.
    """
    moment = draw.uniform(low_s, high_s)
    time.sleep(moment)
    return moment


def pace(at: float) -> None:
    """Until a moment of `time.monotonic()`: whoever sends at a rate waits between sends."""
    time.sleep(max(0.0, at - time.monotonic()))


def gone(process: psutil.Process) -> bool:
    """Whether a process ended; a zombie that nobody has reaped yet has."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
