"""Stores take turns at threads: none has all of them, and one whose calls hang holds up itself alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from inference.api.bounds.turns import Turns
from inference.api.problems import ProblemError

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_calls_that_hang_leave_threads_to_other_stores(gate: threading.Event) -> None:
    async def run() -> None:
        turns = Turns("t", threads=2, per_store=1, waiting=10)
        stuck = [asyncio.create_task(turns.run("hostile", gate.wait)) for _ in range(10)]
        await asyncio.sleep(0)
        assert await turns.run("good", lambda: "answered") == "answered"
        gate.set()
        assert all(await asyncio.gather(*stuck))
        turns.close()

    asyncio.run(run())


def test_calls_that_nobody_waits_for_any_more_still_count(gate: threading.Event) -> None:
    async def run() -> None:
        turns = Turns("t", threads=2, per_store=1, waiting=10)
        for _ in range(5):  # each gives up, and its call still hangs
            call = asyncio.create_task(turns.run("hostile", gate.wait))
            await asyncio.sleep(0)  # it runs as far as it gets
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        assert await turns.run("good", lambda: "answered") == "answered"
        gate.set()
        assert await turns.run("hostile", lambda: "at last") == "at last"
        turns.close()

    asyncio.run(run())


def test_stores_take_turns_however_much_one_has_waiting() -> None:
    order: list[str] = []

    async def run() -> None:
        turns = Turns("t", threads=1, per_store=1, waiting=100)
        first = threading.Event()
        calls = [asyncio.create_task(turns.run("a", first.wait))]
        await asyncio.sleep(0)
        calls += [asyncio.create_task(turns.run("a", order.append, "a")) for _ in range(5)]
        calls += [asyncio.create_task(turns.run("b", order.append, "b")) for _ in range(2)]
        await asyncio.sleep(0)
        first.set()
        await asyncio.gather(*calls)
        turns.close()

    asyncio.run(run())
    assert "".join(order[:4]) == "abab"
    assert sorted(order) == ["a"] * 5 + ["b"] * 2


def test_a_store_with_too_much_waiting_is_told_so(gate: threading.Event) -> None:
    async def run() -> None:
        turns = Turns("t", threads=1, per_store=1, waiting=1)
        calls = [asyncio.create_task(turns.run("a", gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as raised:
            await turns.run("a", gate.wait)
        assert raised.value.status_code == 429
        gate.set()
        await asyncio.gather(*calls)
        turns.close()

    asyncio.run(run())


def test_what_a_call_raises_is_raised_and_gives_the_thread_back() -> None:
    async def run() -> None:
        turns = Turns("t", threads=1, per_store=1, waiting=1)
        with pytest.raises(ZeroDivisionError):
            await turns.run("a", lambda: 1 / 0)
        assert await turns.run("b", lambda: 1) == 1
        turns.close()

    asyncio.run(run())
