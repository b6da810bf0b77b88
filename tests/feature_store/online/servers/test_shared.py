"""One connection for all who ask: on a real store."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from redis.exceptions import RedisError, ResponseError

from feature_store.online.servers.shared import SharedStore
from feature_store.online.servers.shared_cluster import open_shared
from ops.stack.valkey import Valkey
from tests.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def key(place: object) -> str:
    return f"test-shared:{place}"


def test_everybody_gets_their_own_replies(valkey: Valkey) -> None:
    """Also where one is refused, and one has gone before the reply came."""

    async def ask_all() -> None:
        store = open_shared(valkey.address)
        try:
            await store.ask(*(("SET", key(n), n) for n in range(200)))
            asked = [store.ask(("GET", key(n)), ("GET", key(n + 1))) for n in range(0, 200, 2)]
            asked[7].cancel()
            refused = store.ask(("GET", key(0)), ("LPUSH", key(0), "x"), ("GET", key(1)))
            last = store.ask(("GET", key(199)))
            with pytest.raises(ResponseError, match="WRONGTYPE"):
                await refused
            assert await last == [b"199"]
            for place, one in enumerate(asked):
                if place != 7:
                    assert await one == [str(2 * place).encode(), str(2 * place + 1).encode()]
            assert await store.get(key("nowhere")) is None
            assert await store.eval("return ARGV[1]", 0, "said") == b"said"
        finally:
            await store.aclose()

    asyncio.run(ask_all())


def test_a_store_that_hangs_or_dies_fails_who_waits_and_no_one_later(tmp_path: Path) -> None:
    server = Valkey(tmp_path, owned=True)
    server.start()

    async def answers(store: SharedStore) -> bool:
        try:
            await store.ping()
        except RedisError:
            return False
        return True

    async def live_through() -> None:
        store = open_shared(server.address)
        try:
            assert await answers(store)
            assert server.process is not None
            server.process.send_signal(signal.SIGSTOP)
            with pytest.raises(RedisError, match="no answer"):
                await store.get("x")
            server.process.send_signal(signal.SIGCONT)
            await eventually(lambda: answers(store), "the store to answer again")
            server.kill()
            with pytest.raises(RedisError):
                await asyncio.gather(store.get("x"), store.get("y"))
            server.start()
            await eventually(lambda: answers(store), "the store to be back")
        finally:
            await store.aclose()

    try:
        asyncio.run(live_through())
    finally:
        server.stop()


def test_who_asks_when_it_is_closed_is_told_so(valkey: Valkey) -> None:
    async def ask() -> None:
        store = open_shared(valkey.address)
        waits = store.ask(("BLPOP", key("nothing"), 0))
        closing = asyncio.create_task(store.aclose())
        with pytest.raises(RedisError, match="closed"):
            await waits
        await closing

    asyncio.run(ask())
