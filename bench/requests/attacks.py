"""What a hostile store does to an API in bench.isolation: each was seen to slow down every other store.

An attack runs in a process of its own until it is killed.
"""

from __future__ import annotations

import gzip
import http.client
import json
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

JSON: Final = {"Content-Type": "application/json"}
PACKED: Final = {"Content-Encoding": "gzip"}
_WIDE: Final = b"[" + b"[]," * 2_790_000 + b"[]]"
_HALF: Final = (
    b"POST /v1/stores/acme/personas HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000000\r\n\r\n" + b"[" * 1_000
)


class Target(NamedTuple):
    """Where the API listens, a key of the hostile store, the process of Kafka, partitions of the topic."""

    port: int
    key: str
    kafka: int
    partitions: int


class Attack(NamedTuple):
    """name: a row of the table. victim: the request of the good store that is timed. run: never ends."""

    name: str
    victim: str
    run: Callable[[Target], None]


def _send(target: Target, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=120)
    with suppress(OSError, http.client.HTTPException):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status == http.client.TOO_MANY_REQUESTS:
            time.sleep(0.05)  # a fast loop of refusals would measure this process
    connection.close()


def _again(connections: int, send: Callable[[], None]) -> None:
    def go() -> None:
        while True:
            send()

    for _ in range(connections):
        threading.Thread(target=go, daemon=True).start()
    threading.Event().wait()


def _flood(
    connections: int,
    path: str,
    body: Callable[[], bytes] | None,
    headers: dict[str, str],
    *,
    with_key: bool = True,
) -> Callable[[Target], None]:
    def run(target: Target) -> None:
        sent = None if body is None else body()
        named = {**headers, **({"Authorization": f"Bearer {target.key}"} if with_key else {})}
        method = "GET" if sent is None else "POST"
        _again(connections, lambda: _send(target, method, path, sent, named))

    return run


def _half_sent(target: Target) -> None:
    """Requests without a key that never end; a connection that is closed is opened again."""
    held = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(900)]
    for one in held:
        one.sendall(_HALF)
    while True:
        for number, one in enumerate(held):
            time.sleep(0.005)  # 200 new ones per second at most: a flood of connections is another attack
            one.setblocking(False)
            with suppress(BlockingIOError):
                try:
                    over = one.recv(4_096) == b""
                except ConnectionError:
                    over = True
                if over:
                    one.close()
                    held[number] = socket.create_connection(("127.0.0.1", target.port))
                    held[number].sendall(_HALF)


def _stream(target: Target, query: str, headers: str, buffer: int | None = None) -> socket.socket:
    one = socket.socket()
    if buffer is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    one.connect(("127.0.0.1", target.port))
    one.sendall(
        f"GET /v1/stores/acme/stream{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {target.key}\r\n"
        f"{headers}\r\n".encode()
    )
    return one


def _slow_readers(target: Target) -> None:
    """Streams resumed from the topic's beginning, read at a few kilobytes per second."""
    start = f"Last-Event-ID: {'-'.join(['0'] * target.partitions)}\r\n"
    held = [_stream(target, "", start, 2_048) for _ in range(24)]
    while True:
        time.sleep(0.25)
        for one in held:
            with suppress(OSError):
                one.recv(4_096, socket.MSG_DONTWAIT)


def _kafka_hangs(target: Target) -> None:
    os.kill(target.kafka, signal.SIGSTOP)
    held = [_stream(target, "?recent=1", "") for _ in range(12)]
    while held:
        time.sleep(1)


ATTACKS: Final = (
    Attack(
        "no key, 1 MB of lists",
        "persona",
        _flood(4, "/v1/stores/acme/personas", lambda: _WIDE[:1_047_000] + b"[]]", JSON, with_key=False),
    ),
    Attack(
        "7 KB of gzip, 8 MB of lists",
        "persona",
        _flood(2, "/v1/events", lambda: gzip.compress(_WIDE), PACKED),
    ),
    Attack(
        "52,428 members of gzip",
        "persona",
        _flood(2, "/v1/events", lambda: gzip.compress(b"", mtime=0) * 52_428, PACKED),
    ),
    Attack(
        "samples of 100,000",
        "persona",
        _flood(4, "/v1/stores/acme/sample", lambda: json.dumps({"n": 100_000}).encode(), JSON),
    ),
    Attack(
        "2,000 refused items",
        "persona",
        _flood(4, "/v1/events", lambda: json.dumps([{"buyer": "b", "x": 1}] * 2_000).encode(), JSON),
    ),
    Attack("drift, 8 at once", "persona", _flood(8, "/v1/stores/acme/drift", None, {})),
    Attack("900 half-sent requests, no key", "persona", _half_sent),
    Attack("24 slow readers of what they missed", "stream", _slow_readers),
    Attack("Kafka hangs, 12 streams ask for it", "distribution", _kafka_hangs),
)


@contextmanager
def attacked(attack: Attack, target: Target) -> Iterator[None]:
    """While the body runs, so does the attack."""
    hostile = multiprocessing.get_context("spawn").Process(
        target=_run, args=(ATTACKS.index(attack), target), daemon=True
    )
    hostile.start()
    try:
        yield
    finally:
        hostile.kill()
        hostile.join()
        os.kill(target.kafka, signal.SIGCONT)


def _run(number: int, target: Target) -> None:
    ATTACKS[number].run(target)
