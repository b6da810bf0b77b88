"""The local stack: Kafka, Valkey and, on request, Triton on one data folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import msgspec
import psutil

from ops.errors import StackInUseError
from ops.stack.cache import exclusive
from ops.stack.kafka import brokers_made, kafka_cluster
from ops.stack.processes import Say, Server, silent
from ops.stack.topics import DEFAULT_PARTITIONS, create_topics
from ops.stack.triton import Triton
from ops.stack.valkey_cluster import form_cluster, store_nodes_made, store_servers, store_url

STATE_FILE: Final = "stack.json"


class StackInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers of a stack are: the content of stack.json."""

    bootstrap_servers: str  # of all brokers, with commas
    redis_url: str
    triton_url: str | None  # host:port, gRPC
    ports: dict[str, list[int]]  # server -> its ports; the first is the one that clients use
    pids: dict[str, int]
    partitions: int

    def environment(self) -> dict[str, str]:
        """The settings that make any command of this project, and any child process, use this stack."""
        variables = {
            "SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "SIMPERSONA_STORE_URL": self.redis_url,
        }
        if self.triton_url:
            variables |= {
                "SIMPERSONA_ENCODER_RUNTIME": "triton",
                "SIMPERSONA_ENCODER_TRITON_URL": self.triton_url,
            }
        return variables


class ServerStatus(msgspec.Struct, frozen=True):
    """One server as `simpersona stack status` reports it."""

    name: str
    state: Literal["down", "not ready", "ready"]
    pid: int | None
    port: int | None
    address: str | None
    rss_bytes: int | None
    log: str


def load_stack(data_dir: Path) -> StackInfo | None:
    """The stack that was last started on this folder and not taken down, or None; asks no server."""
    try:
        return msgspec.json.decode((data_dir / STATE_FILE).read_bytes(), type=StackInfo)
    except (OSError, msgspec.DecodeError):
        return None


def use_local_stack(data_dir: Path) -> StackInfo | None:
    """Let the settings of this process point to the stack on `data_dir`; returns it, or None.

    Nothing is changed where the environment names a Kafka or a store: half of a local stack with half of a
    remote installation would mix up their buyers.
    """
    info = load_stack(data_dir)
    if info is None or {"SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS", "SIMPERSONA_STORE_URL"} & os.environ.keys():
        return None
    for name, value in info.environment().items():
        os.environ.setdefault(name, value)
    return info


class LocalStack:
    """The servers of one data folder.

    Detached (default), they outlive this process. Owned, they end with it however it ends:

        with LocalStack(folder, owned=True) as stack:
            info = stack.up()

    model_repository: Triton's; None leaves Triton out. brokers, store_nodes: of Kafka, of the online store;
    None: as many as the folder has, or one. A folder keeps the numbers that it was made with.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        model_repository: Path | None = None,
        partitions: int = DEFAULT_PARTITIONS,
        brokers: int | None = None,
        store_nodes: int | None = None,
        owned: bool = False,
        say: Say = silent,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.partitions = partitions
        self.owned = owned
        self.say = say
        made = {"brokers": brokers_made(self.data_dir), "store nodes": store_nodes_made(self.data_dir)}
        wanted = {"brokers": brokers, "store nodes": store_nodes}
        self._others = {
            what: (count, wanted[what])
            for what, count in made.items()
            if count and wanted[what] not in (None, count)
        }
        self.brokers = kafka_cluster(self.data_dir, made["brokers"] or brokers or 1, owned=owned, say=say)
        self.store = store_servers(
            self.data_dir, made["store nodes"] or store_nodes or 1, owned=owned, say=say
        )
        self.kafka, self.valkey = self.brokers[0], self.store[0]
        models = model_repository or self.data_dir / "triton" / "models"
        self.triton = Triton(models, self.data_dir / "triton", owned=owned, say=say)
        self._with_triton = model_repository is not None

    @property
    def servers(self) -> list[Server]:
        """All servers, also those that do not run."""
        return [*self.store, *self.brokers, self.triton]

    def up(self, on_ready: Callable[[StackInfo], None] | None = None) -> StackInfo:
        """Start what does not run, wait until all answer, make the topics, then call `on_ready`.

        Raises:
            DownloadError, ServerStartError, TopicError.
            StackInUseError: somebody else runs a server here, or the folder has another number of
                brokers or store nodes.
        """
        self._check_counts()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with exclusive(self.data_dir / "stack.lock"):
            wanted = [server for server in self.servers if server is not self.triton or self._with_triton]
            for server in wanted:
                if server.running and not self.owned:
                    self.say(f"{server.name} is already up at {server.address}")
                    continue
                self.say(f"starting {server.name}")
                server.launch()
            for server in wanted:
                server.wait_ready()
            if len(self.store) > 1:
                form_cluster(self.store)
            if created := create_topics(self.kafka.client_config(), self.partitions):
                self.say(f"created topics {', '.join(created)}")
            info = self._info()
            (self.data_dir / STATE_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=2))
        if on_ready is not None:
            on_ready(info)
        return info

    def _check_counts(self) -> None:
        for what, (made, wanted) in self._others.items():
            raise StackInUseError(
                f"{self.data_dir} was made with {made} {what}, not {wanted}: leave the option out, "
                "or use another data folder"
            )

    def down(self) -> list[str]:
        """Stop all servers cleanly, together; returns the names of those that ran. Data stays."""
        running = [server for server in self.servers if server.running]
        self._stop(running)
        return [server.name for server in running]

    def status(self) -> list[ServerStatus]:
        """What each server is doing now."""
        return [_status(server) for server in self.servers]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if owned := [server for server in self.servers if server.guarded]:  # not what somebody else runs here
            self._stop(owned)

    def _stop(self, servers: list[Server]) -> None:
        for server in servers:
            self.say(f"stopping {server.name}")
            server.terminate()
        for server in servers:
            server.stop()
        (self.data_dir / STATE_FILE).unlink(missing_ok=True)

    def _info(self) -> StackInfo:
        running = {server.name: server.process for server in self.servers}
        return StackInfo(
            bootstrap_servers=self.kafka.bootstrap,
            redis_url=store_url(self.store),
            triton_url=self.triton.address if running["triton"] else None,
            ports={server.name: server.ports for server in self.servers if running[server.name]},
            pids={name: process.pid for name, process in running.items() if process},
            partitions=self.partitions,
        )


def _status(server: Server) -> ServerStatus:
    with suppress(psutil.NoSuchProcess):
        if (process := server.process) is not None:
            return ServerStatus(
                server.name,
                "ready" if server.answers() else "not ready",
                process.pid,
                server.port,
                server.address,
                process.memory_info().rss,
                str(server.log),
            )
    return ServerStatus(server.name, "down", None, None, None, None, str(server.log))
