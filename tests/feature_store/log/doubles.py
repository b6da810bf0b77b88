"""A consumer that gives what a test wrote down, and messages of it."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError, TopicPartition


class Told:
    """A record at an offset, or what the client says in a record's place."""

    def __init__(self, offset: int, partition: int = 0, code: int | None = None) -> None:
        self._offset, self._partition = offset, partition
        self._error = None if code is None else KafkaError(code)

    def offset(self) -> int:
        return self._offset

    def partition(self) -> int:
        return self._partition

    def topic(self) -> str:
        return "clicks"

    def error(self) -> KafkaError | None:
        return self._error


def end(offset: int, partition: int = 0) -> Told:
    """The partition ends here for now."""
    return Told(offset, partition, KafkaError._PARTITION_EOF)


class Scripted:
    """A consumer: batch after batch, then silence."""

    def __init__(self, *batches: list[Told]) -> None:
        self._batches = list(batches)
        self.assigned: dict[int, int] = {}

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = {place.partition: place.offset for place in places}

    def consume(self, count: int, _wait_s: float) -> list[Any]:
        if not self._batches:
            return []
        given, left = self._batches[0][:count], self._batches[0][count:]
        self._batches[:1] = [left] if left else []
        return given

    def close(self) -> None:
        """Nothing is open."""
