"""A worker that was told to end, ends."""

from __future__ import annotations

import subprocess
import sys

_STUCK = """
import os, signal, threading
from streams.app import LiveWorker

class Stuck(LiveWorker):
    def __init__(self):
        self._consumer_loop = type("Loop", (), {"stop": lambda self: None})()
        self._patience_s = 0.2

signal.signal(signal.SIGTERM, lambda *_: Stuck()._end())
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait()  # a join that never comes back
"""


def test_a_worker_that_hangs_is_ended_and_says_where_it_hung() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _STUCK], capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 1
    assert "did_not_stop" in ended.stdout + ended.stderr
    assert "most recent call first" in ended.stderr
