"""What collectors met at the door: items of payloads that adapters know, and items that they do not.

A collector adds to a hash a window of event time; nothing of it goes through Kafka, so the counts are what
was said at the time, at most once, and not part of any checkpoint:

    simpersona:clickstream:intake:300000:<start>    "known|<store>", "unknown|<store>" -> count; expires
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis
from redis.exceptions import RedisError

from feature_store.errors import OnlineStoreError


class Items(NamedTuple):
    """Items of payloads: those that are events of ours, and those that no adapter knows."""

    known: int
    unknown: int


class IntakeCounts:
    """Counts of the door in the online store. Safe to share between threads."""

    def __init__(self, url: str, topic: str, length_ms: int, keep_s: int) -> None:
        """length_ms: event time of a window; keep_s: how long the store keeps one (wall clock)."""
        self._redis = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._topic, self._length, self._keep = topic, length_ms, keep_s

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def add(self, at_ms: int, items: Mapping[str, Items]) -> None:
        """Add what was met of these stores at a time, in one round trip.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        key = self._key(at_ms // self._length)
        with _store_errors(), self._redis.pipeline(transaction=False) as pipe:
            for store, (known, unknown) in items.items():
                for what, count in (("known", known), ("unknown", unknown)):
                    if count:
                        pipe.hincrby(key, f"{what}|{store}", count)
            pipe.expire(key, self._keep)
            pipe.execute()

    def read(self, numbers: Sequence[int]) -> dict[int, dict[str, Items]]:
        """What was met in these windows: window number -> store -> items.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        with _store_errors(), self._redis.pipeline(transaction=False) as pipe:
            for number in numbers:
                pipe.hgetall(self._key(number))
            answers: list[dict[bytes, bytes]] = pipe.execute()
        return {n: _items(fields) for n, fields in zip(numbers, answers, strict=True) if fields}

    def _key(self, number: int) -> str:
        return f"simpersona:{self._topic}:intake:{self._length}:{number * self._length}"


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
