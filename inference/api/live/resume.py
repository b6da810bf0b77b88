"""What a stream missed: assignments read again from the topic, from one set of offsets to another.

A read is done in parts. For each one a stream waits for its turn, reads what fits into memory, and lets go of
the client and the thread before a byte is written: however slow its reader is, nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import Message

from feature_store.errors import TopicError
from feature_store.log.clients import lone_consumer
from feature_store.log.reader import Ranges
from feature_store.log.topics import begin_offsets
from inference.api.bounds.turns import Turns
from inference.api.live.tail import CLIENT
from inference.api.problems import unavailable

_BATCH: Final = 500
_FETCH_WAIT_MS: Final = 100
_AHEAD_KB: Final = 4_096
"""What a client reads ahead of a part; by default it is 64 MB, per client."""
_THREADS: Final = 8
_PER_STORE: Final = 2
_PART_RECORDS: Final = 20_000
"""Records looked at in a turn."""
_PART_WANTED: Final = 1_000
"""Records kept in a turn: what a stream holds in memory."""


class Part(NamedTuple):
    """Wanted records of a part, each partition's in order, and the next offset of every partition."""

    messages: list[Message]
    at: list[int]


class Replays:
    """Reads ranges of the assignments topic, in threads of its own that stores take turns at."""

    def __init__(self, config: Mapping[str, Any], topic: str, *, waiting: int) -> None:
        """waiting: most reads of a store that wait for a turn."""
        self._config, self._topic = dict(config), topic
        self._turns = Turns("resume", threads=_THREADS, per_store=_PER_STORE, waiting=waiting)

    def close(self) -> None:
        """End the threads."""
        self._turns.close()

    async def part(
        self, store: str, start: Sequence[int], end: Sequence[int], wants: Callable[[Message], bool]
    ) -> Part:
        """The next records of [start, end) of every partition that are wanted; `at` says how far they go.

        wants: called in a thread.

        Raises:
            ProblemError: 503, Kafka does not answer.
        """
        if all(first >= last for first, last in zip(start, end, strict=True)):
            return Part([], list(start))
        try:
            return await self._turns.run(store, self._read, list(start), end, wants)
        except TopicError as error:
            raise unavailable("Kafka does not give back what the stream missed") from error

    def _read(self, at: list[int], end: Sequence[int], wants: Callable[[Message], bool]) -> Part:
        kept: list[Message] = []
        consumer = lone_consumer(self._config, CLIENT, fetch_wait_ms=_FETCH_WAIT_MS, ahead_kb=_AHEAD_KB)
        try:
            ranges = Ranges(consumer, self._topic, dict(enumerate(at)), dict(enumerate(end)), _BATCH)
            for messages in ranges:
                kept += filter(wants, messages)
                if ranges.received >= _PART_RECORDS or len(kept) >= _PART_WANTED:
                    break
        finally:
            consumer.close()
        return Part(kept, [ranges.at[number] for number in range(len(at))])

    async def back(self, store: str, now: Sequence[int], records: int) -> list[int]:
        """Positions about so many records before `now`, as far as the topic goes back.

        Raises:
            ProblemError: 503, Kafka does not answer.
        """
        each = -(-records // len(now))
        first = await self._begins(store, range(len(now)))
        return [min(last, max(first[number], last - each)) for number, last in enumerate(now)]

    async def gap(self, store: str, start: Sequence[int], now: Sequence[int]) -> int:
        """How many records after `start` the topic cannot give back: deleted by its retention, or another
        topic's numbers altogether.

        Raises:
            ProblemError: 503, Kafka does not answer.
        """
        if any(first > last for first, last in zip(start, now, strict=True)):
            return sum(now)
        behind = [number for number, first in enumerate(start) if first < now[number]]
        if not behind:
            return 0
        first = await self._begins(store, behind)
        return sum(max(0, first[number] - start[number]) for number in behind)

    async def _begins(self, store: str, partitions: Sequence[int]) -> dict[int, int]:
        try:
            return await self._turns.run(store, begin_offsets, self._config, self._topic, partitions)
        except TopicError as error:
            raise unavailable("Kafka does not say where the topic begins") from error
