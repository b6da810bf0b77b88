"""What other programs used of the machine while something was measured."""

from __future__ import annotations

import contextlib
import time

import psutil


class Others:
    """CPU time of the machine less that of this process and its children."""

    def __init__(self) -> None:
        self._began, self._start = time.monotonic(), self._seconds()

    def share(self) -> float:
        """Of the machine's CPU time since the beginning."""
        spent = (time.monotonic() - self._began) * (psutil.cpu_count() or 1)
        return max(0.0, self._seconds() - self._start) / spent

    def _seconds(self) -> float:
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0)
        return float(busy - self._ours())

    def _ours(self) -> float:
        ours = 0.0
        own = psutil.Process()
        for process in (own, *own.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                spent = process.cpu_times()
                ours += spent.user + spent.system
                if process == own:  # and of those that ended
                    ours += spent.children_user + spent.children_system
        return ours
