"""A shop's server: takes webhooks, or does what a test tells it to do instead."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
Reply = tuple[int, dict[str, str], str]
TAKEN: Reply = (204, {}, "")


class Receiver:
    """What came, request by request, and what was taken in order: (id, assignment), (id, erasure)."""

    def __init__(self, answer: Callable[[dict[str, Any]], Reply]) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.erased: list[tuple[str, dict[str, Any]]] = []
        self.lock = threading.Lock()

    def take(self, headers: dict[str, str], raw: bytes) -> Reply:
        body = msgspec.json.decode(raw)
        with self.lock:
            self.headers.append(headers)
            self.bodies.append(body)
            if "webhook-id" in headers and not genuine(headers, raw):
                return (401, {}, "forged")
            reply = self.answer(body)
            if reply[0] < 300 and "assignments" in body:
                self.taken += [(item["id"], item["assignment"]) for item in body["assignments"]]
                self.erased += [(item["id"], item["erasure"]) for item in body.get("erasures", ())]
            return reply

    def ids(self) -> set[str]:
        with self.lock:
            return {name for name, _ in self.taken}


def genuine(headers: dict[str, str], raw: bytes, key: bytes = KEY) -> bool:
    """As a receiver checks it: see docs/feeds.md."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
    expected = f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"
    return any(hmac.compare_digest(one, expected) for one in headers["webhook-signature"].split(" "))


@contextmanager
def receiving(
    answer: Callable[[dict[str, Any]], Reply] = lambda _body: TAKEN,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[tuple[str, Receiver]]:
    """The URL and the receiver behind it."""
    receiver = Receiver(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, text = receiver.take(headers, raw)
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A sink was killed while it kept a connection."""

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield (
            f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}/personas",
            receiver,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
