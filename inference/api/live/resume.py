"""What a stream missed: assignments read again from the topic, from one set of offsets to another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from inference.api.live.tail import consumer_config
from inference.api.problems import unavailable

_BATCH: Final = 500
_POLL_S: Final = 0.2
_METADATA_S: Final = 5.0
_SILENCE_S: Final = 15.0
_AT_ONCE: Final = 4


class Replays:
    """Reads ranges of the assignments topic, few at a time: each has a client of its own meanwhile."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        self._config, self._topic = consumer_config(config), topic
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def read(self, start: Sequence[int], end: Sequence[int]) -> AsyncIterator[list[Message]]:
        """Records of [start, end) of every partition, each partition in order.

        Raises:
            ProblemError: 503, Kafka does not answer.
        """
        if all(first >= last for first, last in zip(start, end, strict=True)):
            return
        async with self._turn:
            consumer = Consumer(self._config)
            try:
                async for messages in self._read(consumer, list(start), end):
                    yield messages
            except KafkaException as error:
                raise unavailable("Kafka does not give back what the stream missed") from error
            finally:
                await asyncio.to_thread(consumer.close)

    async def _read(
        self, consumer: Consumer, at: list[int], end: Sequence[int]
    ) -> AsyncIterator[list[Message]]:
        wanted = [number for number, last in enumerate(end) if at[number] < last]
        consumer.assign([TopicPartition(self._topic, number, at[number]) for number in wanted])
        heard = time.monotonic()
        while any(at[number] < end[number] for number in wanted):
            taken: list[Message] = []
            for message in await asyncio.to_thread(consumer.consume, _BATCH, _POLL_S):
                number, error = message.partition(), message.error()
                if error is None and message.offset() < end[number]:
                    taken.append(message)
                    at[number] = message.offset() + 1
                elif error is None or error.name() == "_PARTITION_EOF":
                    at[number] = max(at[number], end[number])
                else:
                    raise KafkaException(error)
                heard = time.monotonic()
            if taken:
                yield taken
            elif time.monotonic() - heard > _SILENCE_S:
                raise unavailable("Kafka does not give back what the stream missed")

    async def back(self, now: Sequence[int], records: int) -> list[int]:
        """Positions about so many records before `now`, as far as the topic goes back.

        Raises:
            ProblemError: 503, Kafka does not answer.
        """
        each = -(-records // len(now))
        first = await self._begins(range(len(now)))
        return [min(last, max(first[number], last - each)) for number, last in enumerate(now)]

    async def gap(self, start: Sequence[int], now: Sequence[int]) -> int:
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
        first = await self._begins(behind)
        return sum(max(0, first[number] - start[number]) for number in behind)

    async def _begins(self, partitions: Sequence[int]) -> dict[int, int]:
        try:
            return await asyncio.to_thread(self._first_offsets, partitions)
        except KafkaException as error:
            raise unavailable("Kafka does not say where the topic begins") from error

    def _first_offsets(self, partitions: Sequence[int]) -> dict[int, int]:
        consumer = Consumer(self._config)
        try:
            return {
                number: consumer.get_watermark_offsets(TopicPartition(self._topic, number), _METADATA_S)[0]
                for number in partitions
            }
        finally:
            consumer.close()
