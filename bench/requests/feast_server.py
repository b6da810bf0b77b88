"""Feast's own feature server on our online store: the same rows over HTTP, as Feast serves them.

.venv/bin/python -m bench.requests.feast_server PORT STORE_URL TOPIC FOLDER
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from feature_store.online.feast.repo import apply, open_feature_store
from ops.stack.processes import Server


class FeastServer(Server):
    """`feast serve` with one worker process; its definitions are applied into a folder of its own."""

    name = "feast"

    def __init__(self, folder: Path, store_url: str, topic: str) -> None:
        super().__init__(folder / "feast", owned=True)
        self._store_url, self._topic = store_url, topic

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command line; what it serves is applied first."""
        apply(self._store_url, self._topic, self.folder)
        place = (str(self.port), self._store_url, self._topic, str(self.folder))
        return [sys.executable, "-m", "bench.requests.feast_server", *place], {}

    def answers(self) -> bool:
        """Whether it serves."""
        with suppress(OSError), urllib.request.urlopen(f"{self.address}/health", timeout=5) as reply:
            return bool(reply.status == 200)
        return False

    @property
    def address(self) -> str:
        """URL of the server."""
        return f"http://127.0.0.1:{self.port}"


def persona_request(store: str, buyer: str) -> bytes:
    """A question for one buyer's persona, on a connection that is kept."""
    asked = {"feature_service": "persona", "entities": {"store": [store], "buyer": [buyer]}}
    body = json.dumps(asked).encode()
    head = "POST /get-online-features HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def main(port: str, store_url: str, topic: str, folder: str) -> None:
    """Serve until SIGTERM; a worker is not replaced after so many requests, as it is by default."""
    served = open_feature_store(store_url, topic, Path(folder))
    served.serve("127.0.0.1", int(port), max_requests=0, max_requests_jitter=0, registry_ttl_sec=3_600)


if __name__ == "__main__":
    main(*sys.argv[1:])
