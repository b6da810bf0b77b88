"""Waiting for processes to end: generous limits, because a busy machine is slow, not wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def gone(process: psutil.Process) -> bool:
    """Whether a process ended; a zombie that nobody has reaped yet has."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Poll until `holds()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)
