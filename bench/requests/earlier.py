"""An earlier release beside this one, on the same servers, with topics and rows of its own: it cannot read
the rows of a later one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.comparison.workload import PARTITIONS
from feature_store.log.topics import create_topics
from ops.demo.api import DemoApi
from ops.stack.local import StackInfo

TOPIC: Final = "earlier-clickstream"
_NAMES: Final = {
    "SIMPERSONA_TOPIC": TOPIC,
    "SIMPERSONA_ASSIGNMENTS_TOPIC": "earlier-assignments",
    "SIMPERSONA_DEAD_LETTERS_TOPIC": "earlier-dead-letters",
    "SIMPERSONA_ERASURES_TOPIC": "earlier-erasures",
    "SIMPERSONA_CONTROL_TOPIC": "earlier-control",
    "SIMPERSONA_GROUP": "earlier-workers",
}


class EarlierApi(DemoApi):
    """The API of another checkout of this project."""

    def __init__(self, checkout: Path, folder: Path, info: StackInfo, kafka: Mapping[str, Any]) -> None:
        super().__init__(folder, info)
        self._checkout, self._home, self._stack = checkout, folder, info
        self.folder = folder / "api-before"
        names = [name for setting, name in _NAMES.items() if setting.endswith("_TOPIC")]
        counts = {name: 1 if name.endswith("control") else PARTITIONS for name in names}
        create_topics(kafka, {name: (count, {}) for name, count in counts.items()})

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Python finds the checkout's modules before the installed ones."""
        (python, *rest), variables = super().command()
        return [python, "-P", *rest], {**variables, **self._variables()}

    @contextmanager
    def worker(self) -> Iterator[None]:
        """While the body runs, so does a worker of that checkout."""
        variables = {**os.environ, **self._stack.environment(), **self._variables()}
        variables["SIMPERSONA_HOME"] = str(self._home)
        command = [sys.executable, "-P", "-m", "ops.cli.main", "worker"]
        with (self._home / "worker-before.log").open("wb") as log:
            process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def _variables(self) -> dict[str, str]:
        return {**_NAMES, "PYTHONPATH": str(self._checkout)}
