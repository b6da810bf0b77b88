"""Connections that say nothing, half of it, or take nothing are closed: raw sockets against uvicorn."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from inference.api.bounds.connections import BoundedConnection, ConnectionBounds
from tests.waiting import pace

pytestmark = pytest.mark.timeout(60)
_WAIT_S = 30


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """/large: more than a socket holds. Anything else: a word."""
    body = b"x" * (32 << 20) if scope["path"] == "/large" else b"ok"
    start: Message = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def served(**bounds: Any) -> Iterator[tuple[Callable[[], socket.socket], ConnectionBounds]]:
    made = ConnectionBounds(**{"most": 100, "header_s": 30.0, "write_s": 30.0, **bounds})
    config = uvicorn.Config(
        answer,
        port=0,
        log_config=None,
        lifespan="off",
        http=cast("type[asyncio.Protocol]", partial(BoundedConnection, made)),
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", port), _WAIT_S))
        return opened[-1]

    try:
        yield connect, made
    finally:
        for one in opened:
            one.close()
        server.should_exit = True
        thread.join(_WAIT_S)


def closed(connection: socket.socket) -> bool:
    """Wait until the other side ends the connection; a time-out fails."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_head_that_does_not_end_is_not_waited_for(sent: bytes) -> None:
    with served(header_s=0.2) as (connect, _):
        slow = connect()
        slow.sendall(sent)
        assert closed(slow)


def test_drops_of_a_head_do_not_win_time() -> None:
    with served(header_s=0.5) as (connect, _):
        slow = connect()
        with suppress(ConnectionError):  # nothing else ends it but the test's time-out
            while True:  # a slow loris: never silent, never done
                slow.sendall(b"X")
                pace(time.monotonic() + 0.01)


def test_a_second_request_has_its_own_time() -> None:
    with served(header_s=0.5) as (connect, bounds):
        one = connect()
        for _ in range(2):
            one.sendall(GET)
            assert b"200 OK" in one.recv(65_536)
        one.sendall(b"GET /half")
        assert closed(one)
        assert bounds.open <= 1


def test_a_head_without_end_is_too_large() -> None:
    with served() as (connect, _):
        one = connect()
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000)
        assert one.recv(100).startswith(b"HTTP/1.1 431 ")


def test_one_connection_more_ends_the_one_that_says_nothing_for_longest() -> None:
    with served(most=3) as (connect, _):
        silent = [connect() for _ in range(3)]
        good = connect()
        good.sendall(GET)
        assert b"200 OK" in good.recv(65_536)
        assert closed(silent[0])


def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    with served(write_s=0.3) as (connect, bounds):
        stuck = connect()
        stuck.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stuck.recv(10)
        other = connect()
        while bounds.open > 1:  # until the stuck one is gone; the test's time-out bounds it
            other.sendall(GET)
            assert b"200 OK" in other.recv(65_536)


def test_a_reader_that_takes_its_time_gets_everything() -> None:
    with served(write_s=2.0) as (connect, _):
        one = connect()
        one.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = 0
        while part := one.recv(1 << 20):
            got += len(part)
        assert got > 32 << 20
