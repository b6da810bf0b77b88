"""A URL that answers without an end, with a bomb, or a byte at a time: the sink holds little and goes on."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from streams.sinks.sink import Answer, Busy, Refused, Taken
from streams.sinks.webhook.letters import Letter
from streams.sinks.webhook.post import Post

LETTER = Letter({"Content-Type": "application/json"}, b'{"assignments": []}')
MIB = 1 << 20


class Evil:
    """A receiver of one request after another; `requests` are their heads, `sent` counts bytes of answers."""

    def __init__(self, answer: Callable[[Evil, socket.socket], None]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.sent = 0
        self.closed = threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}/"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            with client:
                head = b""
                while not head.endswith(LETTER.body):
                    head += client.recv(65_536)
                self.requests.append(head)
                try:
                    self.answer(self, client)
                except OSError:
                    self.closed.set()

    def send(self, client: socket.socket, data: bytes) -> None:
        client.sendall(data)
        self.sent += len(data)


@contextmanager
def evil(answer: Callable[[Evil, socket.socket], None]) -> Iterator[Evil]:
    receiver = Evil(answer)
    with closing(receiver.server):
        yield receiver


def post(receiver: Evil, timeout_s: float = 30.0) -> Answer:
    """In a thread, so that a sink which never comes back fails a test and does not hang it."""
    answers: list[Answer] = []

    def send() -> None:
        with closing(Post(receiver.url, timeout_s)) as sender:
            answers.append(sender.send(LETTER))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(60)
    assert answers, "the request never ended"
    return answers[0]


@pytest.mark.parametrize(("status", "expected"), [("200 OK", Taken), ("400 Bad Request", Refused)])
def test_of_an_answer_without_an_end_little_is_read(status: str, expected: type[Answer]) -> None:
    def answer(receiver: Evil, client: socket.socket) -> None:
        client.sendall(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        while receiver.sent < 512 * MIB:
            receiver.send(client, b"100000\r\n" + b"x" * MIB + b"\r\n")

    with evil(answer) as receiver:
        found = post(receiver)
        assert isinstance(found, expected)
        assert receiver.closed.wait(60), "the sink reads on"
        assert receiver.sent < 64 * MIB  # what the sockets' buffers hold, not what the receiver would send
    if isinstance(found, Refused):
        assert len(found.why) < 400


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(64 * MIB))

    def answer(receiver: Evil, client: socket.socket) -> None:
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
        receiver.send(client, head.encode() + bomb)

    with evil(answer) as receiver:
        found = post(receiver)
    assert isinstance(found, Refused)
    assert len(found.why) < 400
    assert b"accept-encoding: identity" in receiver.requests[0].lower()
    assert "\x00" not in found.why


def test_a_receiver_that_sends_a_byte_at_a_time_is_away() -> None:
    """Each byte comes within the limit, the answer never does."""

    def answer(receiver: Evil, client: socket.socket) -> None:
        receiver.send(client, b"HTTP/1.1 200 OK\r\n")
        waiting = threading.Event()
        while True:
            receiver.send(client, b"X-Wait: y\r\n")
            waiting.wait(0.05)

    with evil(answer) as receiver:
        found = post(receiver, timeout_s=0.5)
        assert isinstance(found, Busy)
        assert "0.5 s" in found.why
        assert receiver.closed.wait(60)


def test_connections_are_kept_between_requests() -> None:
    def answer(receiver: Evil, client: socket.socket) -> None:
        for number in range(2):
            receiver.send(client, b"HTTP/1.1 204 No Content\r\n\r\n")
            if number == 0:
                head = b""
                while not head.endswith(LETTER.body):
                    head += client.recv(65_536)
                receiver.requests.append(head)

    with evil(answer) as receiver, closing(Post(receiver.url, 30.0)) as sender:
        assert sender.send(LETTER) == Taken()
        assert sender.send(LETTER) == Taken()
    assert len(receiver.requests) == 2
