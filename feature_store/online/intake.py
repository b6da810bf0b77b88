"""What collectors met at the door: items that are events of ours, and items that were not understood.

A collector adds to a hash for each window of the clock; nothing of it goes through Kafka, so the counts are
what was met at the time, at most once, and not part of any checkpoint. A hash has "known|<store>" and
"unknown|<store>" -> count, and expires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from feature_store.errors import OnlineStoreError
from feature_store.online.client import AsyncStore, store_answers
from feature_store.online.keys import Keys
from feature_store.online.servers.nodes import ask, open_nodes


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
        self._nodes, self._keys, self._length = open_nodes(url), Keys(topic), length_ms

    def close(self) -> None:
        """Close the connections."""
        self._nodes.close()

    def read(self, numbers: Sequence[int]) -> dict[int, dict[str, Items]]:
        """What was met in these windows: window number -> store -> items.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        names = [self._keys.intake(self._length, number * self._length) for number in numbers]
        try:
            with store_answers():
                answers = ask(
                    self._nodes, [name.encode() for name in names], lambda pipe, i: pipe.hgetall(names[i])
                )
        except OnlineStoreError:
            self._nodes.lost()
            raise
        return {n: _items(fields) for n, fields in zip(numbers, answers, strict=True) if fields}


async def add_items(
    store: AsyncStore, topic: str, length_ms: int, keep_s: int, met: Mapping[tuple[int, str], Items]
) -> None:
    """Add what was met, by (window number, shop), in one round trip. Processes add to the same counts.

    keep_s: how long the store keeps a window.

    Raises:
        OnlineStoreError: the store does not answer; then some of it may have been added.
    """
    keys = Keys(topic)
    with store_answers():
        pipe = store.pipeline(transaction=False)
        for (number, shop), items in met.items():
            for what, count in items._asdict().items():
                if count:
                    pipe.hincrby(keys.intake(length_ms, number * length_ms), f"{what}|{shop}", count)
        for number in {number for number, _ in met}:
            pipe.expire(keys.intake(length_ms, number * length_ms), keep_s)
        await pipe.execute()


def _items(fields: Mapping[bytes, Any]) -> dict[str, Items]:
    found: dict[str, Items] = {}
    for field, raw in fields.items():
        what, _, store = field.decode().partition("|")
        before = found.get(store, Items(0, 0))
        found[store] = before._replace(**{what: int(raw)})
    return found
