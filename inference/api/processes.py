"""Several API processes behind one address: started, started again when they die, ended together.

Each has a socket of its own at the same port, among which the kernel shares out connections (SO_REUSEPORT).
They share only the online store and the files of their metrics. Each begins to listen when it knows
all erasures, so that one that was started again answers as the others do. From then on its event loop says so
twice a second; one that is silent for long is stopped or stuck, while the kernel still gives it connections,
so it is killed. If this process dies, they end by themselves: their standard input ends.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import structlog
from prometheus_client.multiprocess import mark_process_dead

from inference.api.listening import reserve
from inference.api.metrics import METRICS_FOLDER
from inference.api.settings import ApiSettings
from inference.errors import ApiStartError

log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.2
_ENDS_EVERY_S: Final = 0.02
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_KILLED_AFTER_S: Final = 10.0
"""So long after the time that answers may take."""
_READ_BYTES: Final = 4_096
_CPU_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores that this process may use: of the machine, of its affinity, of its container's quota."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no quota
        return cores


def run_processes(count: int, settings: ApiSettings, command: Sequence[str]) -> None:
    """Serve with so many processes until SIGTERM or SIGINT. command: the command line of one of them.

    Raises:
        ApiStartError: the address is taken, or a signal ended a process before any could serve.
        SystemExit: a process ended by itself before any could serve, with this status; it wrote why.
    """
    with (
        reserve(settings.host, settings.port) as held,
        tempfile.TemporaryDirectory(prefix="simpersona-api-") as folder,
    ):
        variables = {"SIMPERSONA_API_PORT": str(held.getsockname()[1]), METRICS_FOLDER: folder}
        environment = {**os.environ, **variables}
        places = [_Place(command, environment) for _ in range(count)]
        patience_s = settings.grace_s + settings.ack_timeout_s + _KILLED_AFTER_S
        _Several(places, patience_s, settings.hung_s).run()


class _Place:
    """One of the processes, and those that come after it."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._command, self._environment = command, environment
        self._pause_s, self._next_at = _FIRST_PAUSE_S, 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.listens = False
        self.heard_at = 0.0

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process, in a group of its own: Ctrl-C is for the parent, which then ends all."""
        self.listens = False
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        return self.process

    def close(self) -> None:
        """Forget a process that ended. The more of them never served, the longer the next one waits."""
        assert self.process is not None
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        mark_process_dead(self.process.pid, self._environment[METRICS_FOLDER])  # type: ignore[no-untyped-call]
        self._pause_s = _FIRST_PAUSE_S if self.listens else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._next_at = time.monotonic() + self._pause_s
        self.process = None

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return self.process is None and time.monotonic() >= self._next_at


class _Several:
    """Looks after the processes."""

    def __init__(self, places: Sequence[_Place], patience_s: float, hung_s: float) -> None:
        self._places, self._patience_s, self._hung_s = places, patience_s, hung_s
        self._outputs = selectors.DefaultSelector()
        self._ending = self._at_once = self._served = False

    def run(self) -> None:
        """Until a signal ends all.

        Raises:
            ApiStartError: a signal ended a process before any could serve.
            SystemExit: a process ended by itself before any could serve, with this status.
        """
        with self._signals():
            try:
                while not self._ending:
                    self._look()
            finally:
                self._end()

    def _look(self) -> None:
        # The first one says what is wrong, if none can serve, and says it once.
        for place in self._places if self._served else self._places[:1]:
            if place.is_due:
                self._outputs.register(_stdout(place.start()), selectors.EVENT_READ, place)
        for key, _ in self._outputs.select(_LOOK_EVERY_S):
            if os.read(key.fd, _READ_BYTES):
                key.data.listens = self._served = True
                key.data.heard_at = time.monotonic()
            else:
                self._outputs.unregister(key.fd)
        if not self._outputs.select(0):  # what this process missed while it was stopped itself is heard first
            self._kill_silent()
        for place in self._places:
            if (process := place.process) is not None and process.poll() is not None:
                self._ended(place, process)

    def _kill_silent(self) -> None:
        silent_since = time.monotonic() - self._hung_s
        for place in self._places:
            if place.process is not None and place.listens and place.heard_at < silent_since:
                log.error("api_process_hung", pid=place.process.pid, silent_s=self._hung_s)
                place.process.kill()

    def _ended(self, place: _Place, process: subprocess.Popen[bytes]) -> None:
        if (output := _stdout(process)) in self._outputs.get_map():
            self._outputs.unregister(output)
        place.close()
        if self._ending:
            return
        if not self._served:
            if process.returncode > 0:  # it wrote why
                sys.exit(process.returncode)
            raise ApiStartError(
                f"a signal ended a process of the API before any could serve: {process.returncode}"
            )
        log.error("api_process_ended", pid=process.pid, status=process.returncode)

    def _end(self) -> None:
        """Let all end what is under way; those that take too long are killed, or all at a second Ctrl-C."""
        living = [(place, place.process) for place in self._places if place.process is not None]
        for _, process in living:
            process.terminate()
        until = time.monotonic() + self._patience_s
        for place, process in living:
            while process.poll() is None and time.monotonic() < until and not self._at_once:
                time.sleep(_ENDS_EVERY_S)
            if process.poll() is None:
                log.error("api_process_killed", pid=process.pid)
                process.kill()
                process.wait()
            place.close()
        self._outputs.close()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def end(number: int, _frame: FrameType | None) -> None:
            self._at_once = self._ending and number == signal.SIGINT
            self._ending = True

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _stdout(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    return process.stdout.fileno()
