"""How far an erasure is, asked while Kafka hangs."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from feature_store.contract.erasure import Erasures, Remainder
from inference.api.bounds.turns import Turns
from inference.api.routes.erasing import _status


class Remains:
    """What is left of a buyer; the first who asks waits for Kafka."""

    def __init__(self) -> None:
        self.asked, self.kafka_is_back = 0, threading.Event()

    def __call__(self, _at: int) -> list[Remainder]:
        self.asked += 1
        if self.asked == 1:
            self.kafka_is_back.wait()
        return []


class Store:
    """Nothing is noted of anybody."""

    async def get(self, _key: bytes) -> None:
        return None


def test_a_store_that_waits_for_kafka_holds_one_thread_and_no_other_store() -> None:
    remains = Remains()

    async def ask() -> None:
        state: Any = SimpleNamespace(
            store=Store(),
            erasures=Erasures(),
            installation=SimpleNamespace(remains=remains),
            asking_kafka=Turns("asking-kafka", threads=2, per_store=1, waiting=10),
        )
        waiting = [asyncio.create_task(_status(state, "acme", [b"acme|1"], "/")) for _ in range(5)]
        await asyncio.sleep(0)
        try:
            assert (await _status(state, "other", [b"other|1"], "/")).state == "none"
            assert remains.asked == 2, "acme's other four have no thread"
        finally:
            remains.kafka_is_back.set()
            await asyncio.gather(*waiting)
            state.asking_kafka.close()

    asyncio.run(ask())
