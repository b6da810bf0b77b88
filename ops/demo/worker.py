"""The demo's worker: a process of its own, restarted when it dies."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from ops.stack.processes import Say, Server, silent

INSTANCE_ID: Final = "demo"
"""A static member: a worker that is started again has its partitions back at once, not after a timeout."""


class DemoWorker(Server):
    """`simpersona worker` on the stack of the demo's folder, for which it waits (worker_process.py).

    Its port is that of /metrics.
    """

    name = "worker"
    grace_seconds = 30  # as long as the worker may wait for Kafka's acknowledgements

    def __init__(self, demo_folder: Path, *, say: Say = silent) -> None:
        super().__init__(demo_folder / "worker", owned=True, say=say)
        self._demo_folder = demo_folder
        self.restarts = 0

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command line and its settings."""
        variables = {
            "SIMPERSONA_HOME": str(self._demo_folder),
            "SIMPERSONA_METRICS_PORT": str(self.port),
            "SIMPERSONA_INSTANCE_ID": INSTANCE_ID,
        }
        return [sys.executable, "-m", "ops.demo.worker_process"], variables

    def answers(self) -> bool:
        """Whether /metrics is served."""
        return self.metrics() is not None

    @property
    def address(self) -> str:
        """URL of the metrics."""
        return f"http://127.0.0.1:{self.port}/metrics"

    def metrics(self) -> str | None:
        """The metrics in Prometheus' text format; None while the worker does not answer."""
        with suppress(OSError), urllib.request.urlopen(self.address, timeout=2) as reply:
            return str(reply.read().decode())
        return None

    def restart(self) -> None:
        """Start a new worker in the place of a dead one."""
        self.kill()
        self.restarts += 1
        self.launch()
