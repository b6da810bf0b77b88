"""What an event loop asks the online store over, whatever its address names: one server, or a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio.connection import ConnectionPool, SSLConnection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.crc import key_slot
from redis.exceptions import AskError, RedisClusterException, RedisError
from redis.exceptions import ConnectionError as LostError

from feature_store.online.client import open_cluster
from feature_store.online.servers.address import StoreAddress
from feature_store.online.servers.shared import Command, Replies, SharedConnection, SharedStore

_CONNECT: Final[dict[str, Any]] = {"socket_connect_timeout": 2.0}
_TRIES: Final = 3
_SCRIPTS: Final = frozenset({"EVAL", "EVALSHA"})


def open_shared(url: str) -> SharedStore:
    """A shared connection to the store at an address of online.servers.address; nothing is asked of it yet.

    Raises:
        SettingError: `url` is no address of a store.
    """
    address = StoreAddress.parse(url)
    if address.kind == "cluster":
        return SharedCluster(address)
    if address.kind == "sentinel":
        return SharedMaster(address)
    return SharedConnection(ConnectionPool.from_url(url, **_CONNECT))


class SharedMaster(SharedConnection):
    """The master that Sentinels name; asked for with every new connection."""

    def __init__(self, address: StoreAddress) -> None:
        """Nothing is asked of a Sentinel yet."""
        self._sentinel: Any = Sentinel(address.hosts, **_CONNECT, **address.options)  # type: ignore[no-untyped-call]
        pool: Any = SentinelConnectionPool
        super().__init__(pool(address.service, self._sentinel, **_CONNECT))

    async def aclose(self) -> None:
        """End the connections, and all who still wait for them."""
        await super().aclose()
        await asyncio.gather(*(sentinel.aclose() for sentinel in self._sentinel.sentinels))


class SharedCluster(SharedStore):
    """Asks the servers of a cluster.

    Commands go to the master of their key's slot, those of one server together. Where a slot has moved, or
    its server is gone, the slots' owners are asked for anew and the commands are sent again, three times at
    most. A command that was carried out before its connection broke is then carried out twice: send none here
    that must not be.
    """

    def __init__(self, address: StoreAddress) -> None:
        """Nothing is asked of the cluster yet."""
        options = dict(address.options)
        secure = {"connection_class": SSLConnection} if options.pop("ssl", False) else {}
        self._address, self._connecting = address, {**options, **secure, **_CONNECT}
        self._cluster: Any = None
        self._stale = False
        self._knowing = asyncio.Lock()
        self._servers: dict[tuple[str, int], SharedConnection] = {}

    def ask(self, *commands: Command) -> Replies:
        """Send commands; the future has a reply to each. It may be cancelled.

        Awaiting it raises RedisError: a server is away, or refuses one of these commands.
        """
        asked = asyncio.get_running_loop().create_task(self._ask(commands))
        asked.add_done_callback(_seen)
        return asked

    async def aclose(self) -> None:
        """End the connections, and all who still wait for them."""
        await asyncio.gather(*(server.aclose() for server in self._servers.values()))
        if self._cluster is not None:
            await self._cluster.aclose()

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        replies: list[Any] = [None] * len(commands)
        left = list(range(len(commands)))
        for _ in range(_TRIES):
            found = await self._once([commands[i] for i in left])
            for i, reply in zip(left, found, strict=True):
                replies[i] = reply
            left = [i for i in left if isinstance(replies[i], (AskError, LostError))]
            if not left:
                break
            self._stale = True
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _once(self, commands: Sequence[Command]) -> list[Any]:
        """A reply or an error to each command."""
        try:
            await self._know()
            places: dict[tuple[str, int], list[int]] = {}
            for i, command in enumerate(commands):
                places.setdefault(self._owner(command), []).append(i)
        except (RedisClusterException, RedisError, OSError) as error:
            return [LostError(f"the cluster does not say who owns a slot: {error}")] * len(commands)
        replies: list[Any] = [None] * len(commands)
        of_servers = [self._of_one(where, [commands[i] for i in mine]) for where, mine in places.items()]
        for mine, found in zip(places.values(), await asyncio.gather(*of_servers), strict=True):
            for i, reply in zip(mine, found, strict=True):
                replies[i] = reply
        return replies

    async def _of_one(self, where: tuple[str, int], commands: Sequence[Command]) -> list[Any]:
        server = self._server(where)
        replies = [server.ask(command) for command in commands]  # one write: nothing waits in between
        found = await asyncio.gather(*replies, return_exceptions=True)
        return [
            await self._follow(command, reply) if type(reply) is AskError else _first(reply)
            for command, reply in zip(commands, found, strict=True)
        ]

    async def _follow(self, command: Command, moving: AskError) -> Any:
        """A key that has left a slot which is on its way: its new server answers who says ASKING first."""
        try:
            return (await self._server((moving.host, moving.port)).ask(("ASKING",), command))[1]
        except RedisError as error:
            return error

    def _server(self, where: tuple[str, int]) -> SharedConnection:
        if where not in self._servers:
            host, port = where
            pool = ConnectionPool(host=host, port=port, **self._connecting)
            self._servers[where] = SharedConnection(pool)
        return self._servers[where]

    def _owner(self, command: Command) -> tuple[str, int]:
        if command[0] == "PING":
            node = self._cluster.get_default_node()
        else:
            key = command[3] if command[0] in _SCRIPTS else command[1]
            name = key if isinstance(key, bytes) else str(key).encode()
            node = self._cluster.nodes_manager.get_node_from_slot(key_slot(name))
        return node.host, node.port

    async def _know(self) -> None:
        async with self._knowing:
            if self._cluster is None:
                self._cluster = await open_cluster(self._address).initialize()
            elif self._stale:
                await self._cluster.nodes_manager.initialize()
            self._stale = False


def _first(reply: Any) -> Any:
    return reply if isinstance(reply, BaseException) else reply[0]


def _seen(asked: asyncio.Task[list[Any]]) -> None:
    """Whoever asked may not look at an error, and that is no fault."""
    if not asked.cancelled():
        asked.exception()
