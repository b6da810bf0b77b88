"""Load from many clients at once: each keeps one connection and asks again as soon as it is answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec
import numpy as np
import redis.asyncio
from numpy.typing import NDArray

from bench.comparison.errors import LoadError

Ask = Callable[[], Awaitable[None]]
Client = AbstractAsyncContextManager[Ask]
_OK: Final = b"HTTP/1.1 200"
_LENGTH: Final = b"content-length: "


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What so many clients got answered in a time; asked: the warm-up's requests, too."""

    clients: int
    seconds: float
    requests: int
    asked: int
    p50_ms: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        """Answers per second, all clients together."""
        return self.requests / self.seconds


def together(rounds: Sequence[Load]) -> Load:
    """Several rounds of the same load: their requests, and the median of their percentiles, so that a moment
    in which the machine did something else does not decide."""
    p50, p99 = np.median([(one.p50_ms, one.p99_ms) for one in rounds], axis=0).tolist()
    return Load(
        clients=rounds[0].clients,
        seconds=sum(one.seconds for one in rounds),
        requests=sum(one.requests for one in rounds),
        asked=sum(one.asked for one in rounds),
        p50_ms=p50,
        p99_ms=p99,
    )


async def load(connect: Callable[[], Client], clients: int, seconds: float) -> Load:
    """Let clients ask for so long, after a fifth of it more to warm up.

    Raises:
        LoadError: an answer was not what was asked for.
    """
    async with AsyncExitStack() as opened:
        asks = [await opened.enter_async_context(connect()) for _ in range(clients)]
        began = time.perf_counter() + seconds / 5
        found = await asyncio.gather(*(_ask_until(ask, began + seconds) for ask in asks))
    sent, waits = np.concatenate(found).T
    return _load(clients, seconds, waits[sent >= began], len(waits))


def _load(clients: int, seconds: float, waits: NDArray[np.float64], asked: int) -> Load:
    """waits: of the requests that count, float64 [n], seconds."""
    if not len(waits):
        raise LoadError(f"nothing that was asked in {seconds:g} s was answered: measure for longer")
    p50, p99 = np.percentile(1000 * waits, [50, 99]).tolist()
    return Load(clients=clients, seconds=seconds, requests=len(waits), asked=asked, p50_ms=p50, p99_ms=p99)


async def _ask_until(ask: Ask, ends: float) -> NDArray[np.float64]:
    """When each request was sent and how long it took, float64 [n, 2], seconds."""
    waits = []
    while (sent := time.perf_counter()) < ends:
        await ask()
        waits.append((sent, time.perf_counter() - sent))
    return np.array(waits)


async def paced(connect: Callable[[], Client], clients: int, rate: float, seconds: float) -> Load:
    """Ask so many times per second, whatever the answers take; a wait counts from when its request was due.

    A request that is due is sent by the next client that is free; the first fifth is warm-up.

    Raises:
        LoadError: an answer was not what was asked for.
    """
    async with AsyncExitStack() as opened:
        asks = [await opened.enter_async_context(connect()) for _ in range(clients)]
        began, warm, numbers = time.perf_counter(), round(rate * seconds / 5), itertools.count()
        last = warm + round(rate * seconds)

        async def client(ask: Ask) -> list[tuple[int, float]]:
            waits = []
            while (number := next(numbers)) < last:
                due = began + number / rate
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                await ask()
                waits.append((number, time.perf_counter() - due))
            return waits

        found = [one for waits in await asyncio.gather(*map(client, asks)) for one in waits]
    counted = np.array([wait for number, wait in found if number >= warm])
    return _load(clients, seconds, counted, len(found))


@asynccontextmanager
async def http(port: int, requests: Iterator[bytes]) -> AsyncIterator[Ask]:
    """A client of an HTTP server here. Requests are bytes made beforehand, and answers are only checked for
    200: a full HTTP library would use the machine's other core up by itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask() -> None:
        writer.write(next(requests))
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(_LENGTH)[2].partition(b"\r")[0]
        body = await reader.readexactly(int(length or 0))
        if not head.startswith(_OK):
            raise LoadError(f"answered {head.splitlines()[0].decode()}: {body[:200].decode()}")

    try:
        yield ask
    finally:
        writer.close()
        await writer.wait_closed()


def get(path: str, key: str) -> bytes:
    """A GET on a connection that is kept."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


@asynccontextmanager
async def valkey(url: str, rows: Sequence[bytes]) -> AsyncIterator[Ask]:
    """A client of the store that reads one row after the other."""
    client, turn = redis.asyncio.Redis.from_url(url, single_connection_client=True), itertools.cycle(rows)

    async def ask() -> None:
        if await client.get(next(turn)) is None:
            raise LoadError("a row is not there")

    try:
        yield ask
    finally:
        await client.aclose()
