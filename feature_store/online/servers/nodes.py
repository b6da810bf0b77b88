"""Which server of the online store holds a key: the one there is, whoever a Sentinel names, or a cluster's.

All keys of a partition lie in one slot (online.keys), so a partition has one owner, and every transaction
and script goes to it over a plain client. There is no redirection on the way: a server that lost a slot, or
is gone, is an error like any other of the store; whoever meets it drops what is in memory and reads again,
and the next question finds the new owner (docs/adr/0059).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.sentinel import Sentinel

from feature_store.online.client import TIMEOUTS, open_client
from feature_store.online.servers.address import StoreAddress


class StoreNodes(Protocol):
    """The servers of an online store. Safe to share between threads."""

    def of(self, name: bytes | str) -> redis.Redis:
        """A client of the server that owns a key. May raise RedisError."""
        ...

    def owners(self) -> list[redis.Redis]:
        """A client of every server that owns keys. May raise RedisError."""
        ...

    def lost(self) -> None:
        """A server gave an error: ask anew where keys are, before the next question."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def open_nodes(url: str) -> StoreNodes:
    """The servers at a store's address (online.servers.address); nothing is asked of them yet.

    Raises:
        SettingError: `url` is no address of a store.
    """
    address = StoreAddress.parse(url)
    if address.kind == "cluster":
        return _Cluster(address)
    if address.kind == "sentinel":
        sentinel: Any = Sentinel(address.hosts, **TIMEOUTS, **address.options)  # type: ignore[no-untyped-call]
        return OneNode(sentinel.master_for(address.service))
    return OneNode(open_client(url))


def ask(nodes: StoreNodes, names: Sequence[bytes], queue: Callable[[Any, int], None]) -> list[Any]:
    """Ask one thing of each key, in one round trip per server; the replies in the order of `names`.

    queue(pipeline, i) adds one command that touches keys of the slot of names[i].
    """
    clients = [nodes.of(name) for name in names]
    places: dict[int, list[int]] = {}
    for i, client in enumerate(clients):
        places.setdefault(id(client), []).append(i)
    replies: list[Any] = [None] * len(names)
    for mine in places.values():
        with clients[mine[0]].pipeline(transaction=False) as pipe:
            for i in mine:
                queue(pipe, i)
            for i, answer in zip(mine, pipe.execute(), strict=True):
                replies[i] = answer
    return replies


class OneNode:
    """A store of one server."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def of(self, name: bytes | str) -> redis.Redis:
        """The server."""
        return self._client

    def owners(self) -> list[redis.Redis]:
        """The server."""
        return [self._client]

    def lost(self) -> None:
        """It is where it was; behind a Sentinel, the client asks for the master with each new connection."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class _Cluster:
    """The masters of a cluster, each over a plain client."""

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._cluster: Any = None  # redis-py's RedisCluster, which is hardly typed
        self._stale = False
        self._lock = threading.Lock()

    def of(self, name: bytes | str) -> redis.Redis:
        """The master of the key's slot."""
        cluster = self._known()
        client: redis.Redis = cluster.get_redis_connection(cluster.get_node_from_key(name))
        return client

    def owners(self) -> list[redis.Redis]:
        """Every master."""
        cluster = self._known()
        return [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def lost(self) -> None:
        """Ask for the slots' owners before the next question."""
        self._stale = True

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._cluster is not None:
                self._cluster.close()
            self._cluster = None

    def _known(self) -> Any:
        with self._lock:
            if self._cluster is None:
                make: Any = ClusterNode
                startup = [make(host, port) for host, port in self._address.hosts]
                self._cluster = RedisCluster(
                    startup_nodes=startup, require_full_coverage=False, **TIMEOUTS, **self._address.options
                )
            elif self._stale:
                self._cluster.nodes_manager.initialize()
            self._stale = False
            return self._cluster
