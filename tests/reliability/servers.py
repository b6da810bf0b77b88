"""The servers of a run: one broker with a listener behind a proxy, and a small disk for a store."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from ops.stack.kafka import Kafka
from ops.stack.processes import Server
from tests.reliability.proxy import Proxy


class ProxiedKafka(Kafka):
    """A broker with one more listener: who comes through the proxy stays behind it."""

    port_count = 3  # clients, controller, clients behind the proxy

    def __init__(self, folder: Path, *, owned: bool = False) -> None:
        super().__init__(folder, owned=owned)
        self.proxy = Proxy()

    @property
    def behind_proxy(self) -> str:
        """bootstrap.servers of clients whose network can be cut."""
        return f"127.0.0.1:{self.proxy.port}"

    def _properties(self) -> dict[str, str]:
        self.proxy.target = self.ports[2]
        properties = super()._properties()
        for name, port in (("listeners", self.ports[2]), ("advertised.listeners", self.proxy.port)):
            properties[name] += f",PROXIED://127.0.0.1:{port}"
        properties["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
        return properties


def hang(server: Server) -> None:
    """SIGSTOP: connections stay open, and nothing answers."""
    process = server.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)


def wake(server: Server) -> None:
    """SIGCONT, and wait until it answers."""
    process = server.process
    assert process is not None
    os.kill(process.pid, signal.SIGCONT)
    server.wait_ready()


class SmallDisk:
    """A file system of its own at a folder, in memory; `fill` leaves no byte free.

    Raises:
        OSError: the kernel does not let us mount one.
    """

    _FILLER: Final = "filler"

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        ran = subprocess.run(mount, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise OSError(f"no file system of our own: {ran.stderr.strip()}")

    def fill(self) -> None:
        """Take what is free."""
        try:
            with (self.folder / self._FILLER).open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
        except OSError:
            pass

    def free(self) -> None:
        """Give it back."""
        (self.folder / self._FILLER).unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount."""
        subprocess.run(["umount", "-l", str(self.folder)], check=False)
