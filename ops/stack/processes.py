"""One server process: start, ready check, stop, kill; found again by later commands through a pid file.

A *detached* server outlives the command that started it (`simpersona stack up`). An *owned* server ends with
its owner, however that ends (guard.py); the demo and the tests use it.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import psutil

from ops.errors import ServerStartError, StackInUseError

Say = Callable[[str], None]
"""Takes one line of progress for a person."""

LOG_LINES_QUOTED: Final = 12
GUARD: Final = Path(__file__).with_name("guard.py")
# Below Linux's ephemeral range (32768-60999): there, a client that retries the port of a killed server can
# be given that very port as its own source port, connect to itself, and keep the server from coming back.
PORTS: Final = range(15_000, 32_000)


def silent(line: str) -> None:
    """Swallow progress."""


def free_ports(count: int) -> list[int]:
    """Different TCP ports of 127.0.0.1 on which nothing listens now."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.choice(PORTS)
        if port not in ports and port_is_free(port):
            ports.append(port)
    return ports


def port_is_free(port: int) -> bool:
    """Whether 127.0.0.1:port can be bound now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT does not stop a server either
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_answers(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1:port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class ProcessMark(msgspec.Struct, frozen=True):
    """A process that cannot be confused with a later one of the same pid."""

    pid: int
    created: float  # s since the epoch, as psutil reports it
    owned: bool


class Server(ABC):
    """A server with a folder of its own, its ports, one log file and one pid file in it.

    `start()` is `launch()` then `wait_ready()`: a caller with several servers launches all, then waits.
    """

    name: str
    port_count: int = 1
    ready_seconds: float = 60
    grace_seconds: float = 15  # between TERM and KILL

    def __init__(self, folder: Path, *, owned: bool = False, say: Say = silent) -> None:
        self.folder = folder.resolve()
        self.owned = owned
        self.say = say
        self.ports: list[int] = []
        self._guard: subprocess.Popen[bytes] | None = None
        with suppress(OSError, msgspec.DecodeError):
            self.ports = msgspec.json.decode(self._port_file.read_bytes(), type=list[int])

    @abstractmethod
    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Prepare the folder; return the command line and the variables to add to the environment."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server does its work now; quick, never raises for a server that is still starting."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where clients reach it."""

    @property
    def port(self) -> int:
        """The port of `address`; 0 before the first launch."""
        return self.ports[0] if self.ports else 0

    @property
    def log(self) -> Path:
        """The file with the server's stdout and stderr since its last start."""
        return self.folder / f"{self.name}.log"

    @property
    def process(self) -> psutil.Process | None:
        """The running server process, or None."""
        with suppress(OSError, msgspec.DecodeError, psutil.Error):
            mark = msgspec.json.decode(self._pid_file.read_bytes(), type=ProcessMark)
            process = psutil.Process(mark.pid)
            if process.create_time() == mark.created and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    @property
    def running(self) -> bool:
        """Whether the process lives; it may not answer yet."""
        return self.process is not None

    @property
    def guarded(self) -> bool:
        """Whether this object started the server and owns it."""
        return self._guard is not None

    def start(self) -> None:
        """Launch and wait until the server answers; nothing happens to one that runs already.

        Raises:
            ServerStartError: it died or was not ready in time; it is stopped then.
            StackInUseError: owned mode, but the server runs already for somebody else.
        """
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the process without waiting for it; see `start`."""
        if self.running:
            if self.owned and not self.guarded:
                raise StackInUseError(
                    f"{self.name} already runs on {self.folder}: use another data folder, "
                    "or end it with `simpersona stack down`"
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.choose_ports()
        argv, variables = self.command()
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))  # what a crash left is worth one more start
        with self.log.open("wb") as log:
            pid = self._spawn(argv, {**os.environ, **variables}, log.fileno())
        try:
            created = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            self.kill()
            raise self._start_error("ended at once") from None
        self._pid_file.write_bytes(msgspec.json.encode(ProcessMark(pid, created, self.owned)))

    def wait_ready(self) -> None:
        """Block until `answers()`; see `start`."""
        deadline = time.monotonic() + self.ready_seconds
        while not self.answers():
            if not self.running:
                self.kill()  # what it left: children, its guard
                raise self._start_error("ended while starting")
            if time.monotonic() > deadline:
                self.stop()
                raise self._start_error(f"was not ready after {self.ready_seconds:.0f} s")
            time.sleep(0.05)

    def terminate(self) -> None:
        """Ask the server to stop and do not wait; `stop` does both."""
        if (process := self.process) is not None:
            with suppress(psutil.NoSuchProcess):
                process.terminate()

    def stop(self) -> None:
        """Stop cleanly: TERM, wait, and KILL after the grace; nothing happens if it does not run."""
        if (process := self.process) is not None:
            self.terminate()
            with suppress(psutil.TimeoutExpired):
                process.wait(self.grace_seconds)
            _kill_group(process)
        self.kill()

    def kill(self) -> None:
        """SIGKILL the server and its children at once, as a crash would; data and ports stay."""
        if (process := self.process) is not None:
            _kill_group(process)
            process.wait(10)
        if self._guard is not None:
            self._guard.wait(10)
            for pipe in (self._guard.stdin, self._guard.stdout):
                if pipe is not None:
                    pipe.close()
            self._guard = None
        self._pid_file.unlink(missing_ok=True)

    def _spawn(self, argv: Sequence[str], environment: Mapping[str, str], log: int) -> int:
        if not self.owned:
            # Not Popen, which holds that whoever starts a process must stay to wait for it.
            files = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ]
            try:
                return os.posix_spawn(argv[0], list(argv), environment, file_actions=files, setsid=True)
            except OSError as error:
                raise self._start_error(f"could not be executed ({error})") from error
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(self.grace_seconds), *argv],
            env=environment,
            stdin=subprocess.PIPE,  # never written; closed by the kernel when this process ends
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        if not line:
            self.kill()
            raise self._start_error("could not be executed")
        return int(line)

    def choose_ports(self) -> None:
        """Keep the ports of the last run, so that clients find a restarted server where it was.

        Only of a server that does not run: what is taken is given up.
        """
        if len(self.ports) == self.port_count and all(map(port_is_free, self.ports)):
            return
        self.ports = free_ports(self.port_count)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._port_file.write_bytes(msgspec.json.encode(self.ports))

    @property
    def _pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def _port_file(self) -> Path:
        return self.folder / "ports.json"

    def _start_error(self, what: str) -> ServerStartError:
        lines: list[str] = []
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").rstrip().splitlines()[-LOG_LINES_QUOTED:]
        quoted = "".join(f"\n  | {line[:200]}" for line in lines) or " (it wrote nothing)"
        return ServerStartError(f"{self.name} {what}; the end of {self.log}:{quoted}")


def _kill_group(leader: psutil.Process) -> None:
    """SIGKILL what is left of a server's process group; its leader may have ended before its children."""
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
