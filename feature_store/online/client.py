"""Connections to the online store, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis
import redis.asyncio
from redis.exceptions import RedisError

from feature_store.errors import OnlineStoreError

_TIMEOUT_S: Final = 5
"""A checkpoint of thousands of rows takes milliseconds; longer is an outage, not a queue."""
_REQUEST_TIMEOUT_S: Final = 2
_REQUEST_CONNECTIONS: Final = 64

AsyncStore = Any
"""redis.asyncio.Redis, whose stubs type every reply as "now or awaitable"; here it is always awaitable."""


def open_client(url: str) -> redis.Redis:
    """A client for threads. `url` is redis://, rediss:// or unix://; nothing is asked of the store yet."""
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)


def open_store(url: str) -> AsyncStore:
    """A client for an event loop; a request beyond its connections waits for one."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=_REQUEST_CONNECTIONS,
        timeout=_REQUEST_TIMEOUT_S,
        socket_timeout=_REQUEST_TIMEOUT_S,
        socket_connect_timeout=_REQUEST_TIMEOUT_S,
    )
    return redis.asyncio.Redis.from_pool(pool)  # so that closing the client closes its connections


@contextmanager
def store_answers() -> Iterator[None]:
    """Turn the client library's errors into OnlineStoreError."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise OnlineStoreError(f"the online store did not answer: {error}") from error


def reply(answer: Any) -> Any:
    """What a client for threads answered: redis-py types it as "now or awaitable", here it is always now."""
    return answer
