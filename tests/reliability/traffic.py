"""Events on the topic at a rate, with the faults of senders. Plain JSON: nothing of feature_store."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from tests.waiting import pace

REFUSED: Final = "refused-"
"""Begins the event id of an event that must become a dead letter."""
_TYPES: Final = ("page_view", "list_view", "search", "product_view", "add_to_cart", "view_cart", "purchase")
_TICK_S: Final = 0.02
_HOUR_MS: Final = 3_600_000


@dataclass
class Mix:
    """Shares of records that a faulty sender adds or spoils, 0 to 1. skews: what the senders' clocks are
    ahead of ours, ms."""

    poison: float = 0.0
    duplicates: float = 0.0
    reordered: float = 0.0
    future: float = 0.0
    skews: tuple[int, ...] = (0,)


@dataclass
class Traffic:
    """A sender in a thread of its own. `rate` (events/s) and `mix` may change while it runs."""

    config: Mapping[str, Any]
    topic: str
    draw: random.Random
    rate: float
    mix: Mix = field(default_factory=Mix)
    buyers: int = 2_000
    sent: dict[str, int] = field(default_factory=dict)
    """Kafka key -> events made for it, each once; refused ones are not counted."""
    refused: int = 0

    def __post_init__(self) -> None:
        self._ending = threading.Event()
        self._failed: list[str] = []
        self._made = 0
        self._recent: list[tuple[str, bytes, int]] = []
        self._producer = Producer(
            {
                **self.config,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "message.max.bytes": 32 << 20,
                "message.timeout.ms": 300_000,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
                "on_delivery": self._delivered,
            }
        )

    @contextmanager
    def running(self) -> Iterator[Traffic]:
        """Send while the body runs; at its end everything that was sent is acknowledged."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            thread.join()
        assert not self._failed, f"Kafka did not take what the test sent: {self._failed[:3]}"

    def send_large(self, size: int) -> None:
        """One event of so many bytes, which must be refused."""
        key, value, at = self._event(REFUSED)
        body = json.loads(value) | {"query": "x" * size}
        self.refused += 1
        self._producer.produce(self.topic, json.dumps(body).encode(), key.encode(), timestamp=at)

    # ---- in the thread

    def _run(self) -> None:
        began, due = time.monotonic(), 0.0
        turn = 0
        while not self._ending.is_set():
            turn += 1
            due += self.rate * _TICK_S
            self._send(int(due))
            due -= int(due)
            self._producer.poll(0)
            pace(began + turn * _TICK_S)
        left = self._producer.flush(300)
        if left:
            self._failed.append(f"{left} messages without an answer")

    def _send(self, count: int) -> None:
        records = []
        for _ in range(count):
            roll = self.draw.random()
            if roll < self.mix.poison:
                records.append(self._poison())
            elif roll < self.mix.poison + self.mix.duplicates and self._recent:
                records.append(self.draw.choice(self._recent))
            elif roll < self.mix.poison + self.mix.duplicates + self.mix.future:
                records.append(self._future())
            else:
                records.append(self._good())
        if self.mix.reordered:
            count = max(1, int(len(records) * self.mix.reordered))
            for _ in range(count):
                a, b = self.draw.randrange(len(records)), self.draw.randrange(len(records))
                records[a], records[b] = records[b], records[a]
        for key, value, at in records:
            self._producer.produce(self.topic, value, key.encode(), timestamp=at)

    def _good(self) -> tuple[str, bytes, int]:
        record = self._event("e")
        self.sent[record[0]] = self.sent.get(record[0], 0) + 1
        self._recent = [*self._recent[-40:], record]  # well inside the ids that a buyer's state remembers
        return record

    def _event(self, kind: str, ahead_ms: int = 0) -> tuple[str, bytes, int]:
        """(key, value, CreateTime in ms)."""
        draw = self.draw
        self._made += 1
        now = int(time.time() * 1000) + draw.choice(self.mix.skews)
        buyer, product = f"{draw.randrange(self.buyers):016x}", draw.randrange(200)
        event = {
            "schema_version": 1,
            "event_id": f"{kind}{self._made}",
            "store": "acme",
            "buyer": buyer,
            "type": draw.choice(_TYPES),
            "timestamp": now - draw.randrange(1_000) + ahead_ms,
            "product_id": f"p{product}",
            "category": f"c{product % 9}",
            "price": float(product),
            "currency": "USD",
        }
        return f"acme|{buyer}", json.dumps(event).encode(), now

    def _future(self) -> tuple[str, bytes, int]:
        self.refused += 1
        return self._event(REFUSED, ahead_ms=2 * _HOUR_MS)

    def _poison(self) -> tuple[str, bytes, int]:
        key, value, at = self._event(REFUSED)
        body = json.loads(value)
        spoiled = (
            b"",
            b"{not json",
            b"[]",
            b"\xff\xfe",
            json.dumps(body | {"type": "teleport"}).encode(),
            json.dumps(body | {"timestamp": -5}).encode(),
            json.dumps(body | {"buyer": None}).encode(),
            json.dumps(body | {"store": "a|b"}).encode(),
            json.dumps(body | {"buyer": "somebody-else"}).encode(),
        )
        self.refused += 1
        return key, self.draw.choice(spoiled), at

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append(error.str())
