"""Asking whether a process is ready needs no key, so it must not cost the store a question each time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from feature_store.errors import OnlineStoreError
from inference.api.readiness import Readiness
from tests.waiting import eventually


class Buyers:
    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    async def ping(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise OnlineStoreError("away")


def state() -> Any:
    async def settled() -> None:
        return None

    caught_up = asyncio.Event()
    caught_up.set()
    return SimpleNamespace(
        tail=SimpleNamespace(caught_up=caught_up),
        producer=SimpleNamespace(stalled=lambda: False),
        hub=SimpleNamespace(closed=False),
        models=SimpleNamespace(settled=settled),
        buyers=Buyers(),
    )


def test_a_thousand_who_ask_at_once_ask_the_store_once() -> None:
    async def run() -> None:
        shared = state()
        readiness = Readiness(shared)
        answers = await asyncio.gather(*(readiness.missing() for _ in range(1_000)))
        assert answers == [[]] * 1_000
        assert shared.buyers.asked == 1

    asyncio.run(run())


def test_a_store_that_went_away_is_noticed_later() -> None:
    async def run() -> None:
        shared = state()
        readiness = Readiness(shared)
        assert await readiness.missing() == []
        shared.buyers.away = True

        async def noticed() -> bool:
            return await readiness.missing() == ["the online store does not answer"]

        await eventually(noticed, "the store's absence to be noticed")

    asyncio.run(run())
