"""A chat endpoint on this machine, which answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def chat_server(
    answer: Callable[[dict[str, Any]], str | int], asked: list[tuple[dict[str, Any], str | None]]
) -> Iterator[str]:
    """Serve `answer` (a text, or an HTTP status to refuse with); its URL. asked: requests and their keys."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((body, self.headers["Authorization"]))
            said = answer(body) if self.path == "/v1/chat/completions" else 404
            self.send_response(said if isinstance(said, int) else 200)
            self.end_headers()
            if not isinstance(said, int):
                message = {"role": "assistant", "content": said}
                self.wfile.write(json.dumps({"choices": [{"message": message}]}).encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
