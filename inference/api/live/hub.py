"""Fan-out of assignments to open streams: each has a bounded queue, and one that overflows is cut off."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence, Set

import msgspec
from confluent_kafka import Message

from feature_store.contract.erasure import Erasure
from inference.api.live.positions import encode_positions


class Sent(msgspec.Struct, frozen=True, gc=False):
    """An assignment on its way out: id names what comes after it (inference.api.live.positions)."""

    id: str
    body: bytes


class Subscriber:
    """One open stream: which records it is for, and those that wait for its reader."""

    def __init__(self, store: str, keys: Set[bytes] | None, limit: int) -> None:
        """keys: of the one buyer to follow; None for all of the store."""
        self.store, self._prefix, self._keys = store, f"{store}|".encode(), keys
        self._limit = limit
        self.queue: deque[Sent] = deque()
        self.overflowed = False
        self.wake = asyncio.Event()

    def wants(self, key: bytes) -> bool:
        """Whether a record of this Kafka key is for this stream."""
        return key.startswith(self._prefix) if self._keys is None else key in self._keys

    def offer(self, sent: Sent) -> None:
        """Queue a record; after the first one that finds no room nothing more is taken."""
        if len(self.queue) >= self._limit:
            self.overflowed = True
        elif not self.overflowed:
            self.queue.append(sent)
        self.wake.set()


class _Offset(msgspec.Struct):
    offset: int


_offset_of = msgspec.json.Decoder(_Offset).decode


class Hub:
    """The streams of this process. Of the event loop's thread."""

    def __init__(self, erasures: Mapping[bytes, Erasure]) -> None:
        self._erasures = erasures
        self._by_store: dict[str, set[Subscriber]] = {}
        self.positions: list[int] = []
        """Next offset of each partition of the assignments topic; [] until Kafka has said where it ends."""
        self.closed = False

    def begin(self, ends: Sequence[int]) -> None:
        """Say where the topic ended when its reader began."""
        self.positions = list(ends)

    def publish(self, messages: Sequence[Message]) -> None:
        """Hand records to who wants them."""
        for message in messages:
            self.positions[message.partition()] = message.offset() + 1
            key: bytes = message.key()
            found = self._by_store.get(key.partition(b"|")[0].decode())
            if not found or self.void(key, message.value()):
                continue
            sent: Sent | None = None
            for subscriber in found:
                if subscriber.wants(key):
                    sent = sent or Sent(encode_positions(self.positions), message.value())
                    subscriber.offer(sent)

    def void(self, key: bytes, body: bytes) -> bool:
        """Whether an assignment was said before its buyer was erased."""
        erasure = self._erasures.get(key)
        return erasure is not None and _offset_of(body).offset < erasure.before_offset

    def add(self, subscriber: Subscriber) -> None:
        """From the next record on."""
        self._by_store.setdefault(subscriber.store, set()).add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """No more."""
        streams = self._by_store.get(subscriber.store, set())
        streams.discard(subscriber)
        if not streams:
            self._by_store.pop(subscriber.store, None)

    def close(self) -> None:
        """Let every stream end."""
        self.closed = True
        for streams in self._by_store.values():
            for subscriber in streams:
                subscriber.wake.set()
