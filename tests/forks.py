"""Commands of ours as processes that are forked from one that has their imports done (tests/forking.py)."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path


class Forked:
    """A process; used as subprocess.Popen is."""

    def __init__(self, report: int) -> None:
        self._report = open(report, "rb", buffering=0)  # noqa: SIM115
        self.pid = int(self._report.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status (a signal's number, negative, if one ended it); None while it runs."""
        if self.returncode is None and select.select([self._report], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not after `timeout` seconds.
        """
        if self.returncode is None and not select.select([self._report], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        if self.returncode is None:
            self._end()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing where it has ended: its number may be another process's."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        with self._report:
            self.returncode = int(self._report.readline())


class Forks:
    """The process that forks: started with the first command, gone with this one."""

    def __init__(self) -> None:
        self._orders: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, environment: dict[str, str], log: Path | None = None) -> Forked:
        """`simpersona ARGUMENTS`. log: file that what it writes is added to."""
        orders = self._orders or self._begin()
        if log is not None:
            log.touch()  # it is there from the start, as with Popen
        order = {"arguments": arguments, "environment": environment, "log": log and str(log)}
        report, reports_to = os.pipe()
        socket.send_fds(orders, [json.dumps(order).encode()], [reports_to])
        os.close(reports_to)
        return Forked(report)

    def _begin(self) -> socket.socket:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-m", "tests.forking", str(number)]
            self._process = subprocess.Popen(command, pass_fds=[number])
        atexit.register(self._end)
        return self._orders

    def _end(self) -> None:
        assert self._orders is not None
        assert self._process is not None
        self._orders.close()
        self._process.wait()


FORKS = Forks()
