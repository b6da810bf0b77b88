"""Connections to the online store, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import AskError, RedisClusterException, RedisError

from feature_store.errors import OnlineStoreError
from feature_store.online.servers.address import StoreAddress

TIMEOUTS: Final[dict[str, Any]] = {"socket_timeout": 5, "socket_connect_timeout": 5}
"""Of clients for threads, s. A checkpoint of thousands of rows takes milliseconds; longer is an outage, not a
queue."""
_REQUEST_TIMEOUT_S: Final = 2
_REQUEST_TIMEOUTS: Final[dict[str, Any]] = {
    "socket_timeout": _REQUEST_TIMEOUT_S,
    "socket_connect_timeout": _REQUEST_TIMEOUT_S,
}
_REQUEST_CONNECTIONS: Final = 64

AsyncStore = Any
"""A client of redis.asyncio. Its stubs type replies as "now or awaitable"; here they are always awaitable."""


def open_client(url: str) -> redis.Redis:
    """A client for threads, of one server: redis://, rediss:// or unix://; nothing is asked of it yet."""
    return redis.Redis.from_url(url, **TIMEOUTS)


def open_store(url: str) -> AsyncStore:
    """A client for an event loop, of whatever an address names (online.servers.address); a request beyond its
    connections waits for one.

    Raises:
        SettingError: `url` is no address of a store.
    """
    address = StoreAddress.parse(url)
    if address.kind == "cluster":
        return open_cluster(address)
    if address.kind == "sentinel":
        sentinel = Sentinel(address.hosts, **_REQUEST_TIMEOUTS, **address.options)  # type: ignore[no-untyped-call]
        return sentinel.master_for(address.service)
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, max_connections=_REQUEST_CONNECTIONS, timeout=_REQUEST_TIMEOUT_S, **_REQUEST_TIMEOUTS
    )
    return redis.asyncio.Redis.from_pool(pool)  # so that closing the client closes its connections


def open_cluster(address: StoreAddress) -> AsyncStore:
    """A client for an event loop, of a cluster that may lack owners of some slots."""
    startup = [ClusterNode(host, port) for host, port in address.hosts]
    return RedisCluster(
        startup_nodes=startup, require_full_coverage=False, **_REQUEST_TIMEOUTS, **address.options
    )


@contextmanager
def store_answers() -> Iterator[None]:
    """Turn the client library's errors into OnlineStoreError."""
    try:
        yield
    except AskError as error:  # MOVED is one too
        raise OnlineStoreError(
            f"a slot of the online store has moved to {error.host}:{error.port}; the address of a cluster "
            "begins with redis+cluster:// (SIMPERSONA_STORE_URL)"
        ) from error
    except (RedisError, RedisClusterException, OSError) as error:
        raise OnlineStoreError(f"the online store did not answer: {error}") from error


def reply(answer: Any) -> Any:
    """What a client for threads answered: redis-py types it as "now or awaitable", here it is always now."""
    return answer
