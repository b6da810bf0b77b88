"""The benchmark of the API: it runs on real servers, and a run ends in a table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.api import FEAST, HEADER, markdown, measure
from bench.comparison.errors import LoadError
from bench.requests.load import Ask, Load, get, http, load, paced, together
from tests.waiting import pace


def test_every_client_asks_and_every_answer_counts() -> None:
    asked = []

    @asynccontextmanager
    async def client() -> AsyncIterator[Ask]:
        async def ask() -> None:
            asked.append(asyncio.current_task())
            await asyncio.sleep(0)

        yield ask

    done = asyncio.run(load(client, 3, 0.1))
    assert len(set(asked)) == 3
    assert 0 < done.requests < done.asked == len(asked)
    assert done.p50_ms <= done.p99_ms
    assert done.per_s == pytest.approx(done.requests / 0.1)


def test_at_a_pace_waits_count_from_when_a_request_was_due() -> None:
    """One client that is slower than the pace: each request waits for all before it."""
    asked = []

    @asynccontextmanager
    async def client() -> AsyncIterator[Ask]:
        async def ask() -> None:
            asked.append(None)
            pace(time.monotonic() + 0.02)

        yield ask

    done = asyncio.run(paced(client, 1, 1_000, 0.02))
    assert (len(asked), done.asked, done.requests) == (24, 24, 20)
    assert done.p99_ms > 20 * (20 - 1)
    assert done.p99_ms > done.p50_ms


def test_another_answer_than_200_is_an_error() -> None:
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for status in (b"200 OK", b"503 Away"):
            assert await reader.readuntil(b"\r\n\r\n") == get("/x", "key")
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\nbody")
        writer.close()
        await writer.wait_closed()
        ended.set()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, http(server.sockets[0].getsockname()[1], iter([get("/x", "key")] * 2)) as ask:
            await ask()
            with pytest.raises(LoadError, match="503 Away: body"):
                await ask()
            await ended.wait()

    asyncio.run(run())


def test_rounds_count_together_and_their_median_tells_the_waits() -> None:
    rounds = [
        Load(clients=2, seconds=1, requests=10 * n, asked=12 * n, p50_ms=n, p99_ms=100 - n) for n in (1, 2, 9)
    ]
    whole = together(rounds)
    assert (whole.requests, whole.asked, whole.seconds, whole.per_s) == (120, 144, 3, 40)
    assert (whole.p50_ms, whole.p99_ms) == (2, 98)


@pytest.mark.integration
def test_a_run_ends_in_a_table() -> None:
    result = measure(rates=(100,), clients=(1, 2), seconds=3.0, seed=3)
    found = [(cell.server, cell.persona.load.clients) for cell in result.cells]
    assert found == [("now", 1), (FEAST, 1), ("now", 2), (FEAST, 2)]
    for cell in result.cells:
        assert cell.persona.load.requests > 0
        assert cell.half.requests > 0
        assert cell.persona.cpu_ms > 0
    assert [floor.clients for floor in result.floors] == [1, 2]
    assert all(floor.healthz.load.requests > 0 < floor.valkey.requests for floor in result.floors)
    lines = markdown(result).splitlines()
    assert lines[0] == f"| {' | '.join(HEADER)} |"
    assert len(lines) == (2 + 4) + 1 + (2 + 2) + 2
