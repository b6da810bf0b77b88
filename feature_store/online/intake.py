"""What collectors met at the door: items that are events of ours, and items that were not understood.

A collector adds to a hash for each window of the clock; nothing of it goes through Kafka, so the counts are
what was met at the time, at most once, and not part of any checkpoint:

    simpersona:clickstream:intake:300000:<start>    "known|<store>", "unknown|<store>" -> count; expires
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis
from redis.exceptions import RedisError

from feature_store.errors import OnlineStoreError
from feature_store.online.reads import AsyncStore, store_answers


class Items(NamedTuple):
    """Items of payloads: those that are events of ours, and those that were not understood."""

    known: int
    unknown: int

    def plus(self, known: int, unknown: int) -> Items:
        """With more."""
        return Items(self.known + known, self.unknown + unknown)


class IntakeCounts:
    """Reads the counts of the door. Safe to share between threads."""

    def __init__(self, url: str, topic: str, length_ms: int) -> None:
        """length_ms: length of a window."""
        self._redis = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._topic, self._length = topic, length_ms

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def read(self, numbers: Sequence[int]) -> dict[int, dict[str, Items]]:
        """What was met in these windows: window number -> store -> items.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        with _store_errors(), self._redis.pipeline(transaction=False) as pipe:
            for number in numbers:
                pipe.hgetall(_key(self._topic, self._length, number))
            answers: list[dict[bytes, bytes]] = pipe.execute()
        return {n: _items(fields) for n, fields in zip(numbers, answers, strict=True) if fields}


async def add_items(
    store: AsyncStore, topic: str, length_ms: int, keep_s: int, met: Mapping[tuple[int, str], Items]
) -> None:
    """Add what was met, by (window number, shop), in one round trip. Processes add to the same counts.

    keep_s: how long the store keeps a window.

    Raises:
        OnlineStoreError: the store does not answer; then some of it may have been added.
    """
    with store_answers():
        pipe = store.pipeline(transaction=False)
        for (number, shop), items in met.items():
            for what, count in items._asdict().items():
                if count:
                    pipe.hincrby(_key(topic, length_ms, number), f"{what}|{shop}", count)
        for number in {number for number, _ in met}:
            pipe.expire(_key(topic, length_ms, number), keep_s)
        await pipe.execute()


def _key(topic: str, length_ms: int, number: int) -> str:
    return f"simpersona:{topic}:intake:{length_ms}:{number * length_ms}"


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise OnlineStoreError(f"the online store did not answer: {error}") from error


def _items(fields: Mapping[bytes, Any]) -> dict[str, Items]:
    found: dict[str, Items] = {}
    for field, raw in fields.items():
        what, _, store = field.decode().partition("|")
        before = found.get(store, Items(0, 0))
        found[store] = before._replace(**{what: int(raw)})
    return found
