"""`simpersona api` as a process, and keys for it."""

from __future__ import annotations

import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
from click.testing import CliRunner

from ops.cli.live.keys import keys
from ops.stack.processes import free_ports
from tests.rig import Rig

SCOPES = ("events:write", "personas:read", "stream:read", "buyers:erase")


class Api:
    """One API process on a rig's servers."""

    def __init__(
        self,
        rig: Rig,
        tls: ssl.SSLContext | None = None,
        environment: dict[str, str] | None = None,
        **settings: Any,
    ) -> None:
        (self.port,) = free_ports(1)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._verify: ssl.SSLContext | bool = tls or True
        self.environment = rig.environment(rig.settings) | {
            "SIMPERSONA_ID_KEY": "ab" * 32,
            "SIMPERSONA_API_PORT": str(self.port),
            "SIMPERSONA_API_PROCESSES": "1",
            **{f"SIMPERSONA_API_{name.upper()}": str(value) for name, value in settings.items()},
            **(environment or {}),
        }
        self.log = rig.folder / f"api-{self.port}.log"
        self._rig = rig
        self._reader: str | None = None
        self.start()

    def start(self) -> None:
        """Start, or start again at the same address."""
        command = ("-m", "ops.cli.main", "api")
        self.process = self._rig.process(*command, environment=self.environment, log=self.log)
        self._rig.wait_for(self.ready, f"the API to be ready\n{self.log}")

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz", timeout=10, verify=self._verify).status_code == 200
        except httpx.HTTPError:
            return False

    def keys(self, *arguments: str) -> Any:
        """`simpersona keys ... --json`, in this process: there are dozens, and a start costs the most."""
        call = partial(CliRunner().invoke, keys, [*arguments, "--json"], env=self.environment)
        with ThreadPoolExecutor(1) as pool:  # where a browser is open, this thread has an event loop already
            done = pool.submit(call).result()
        assert done.exit_code == 0, f"{done.output}{done.exception!r}"
        return json.loads(done.stdout)

    def new_key(self, store: str, *scopes: str, rate: float = 10_000, burst: float = 10_000) -> str:
        asked = [word for scope in scopes or SCOPES for word in ("--scope", scope)]
        limits = ["--rate", str(rate), "--burst", str(burst)]
        return str(self.keys("create", "--store", store, *asked, *limits)["key"])

    def page_key(self, store: str, *origins: str, rate: float = 10_000, burst: float = 10_000) -> str:
        """A key to publish in pages of these origins."""
        named = [word for origin in origins for word in ("--origin", origin)]
        limits = ["--rate", str(rate), "--burst", str(burst)]
        return str(self.keys("create", "--store", store, *named, *limits)["key"])

    def metrics(self) -> str:
        """What Prometheus reads, with a key that may."""
        self._reader = self._reader or self.new_key("*", "operation:read")
        with self.client(self._reader) as client:
            return client.get("/metrics").raise_for_status().text

    def client(self, key: str | None) -> httpx.Client:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(60)


def event(number: int | str, buyer: str = "4711", kind: str = "product_view") -> dict[str, Any]:
    """An event of the contract as a shop sends it."""
    return {
        "event_id": f"e{number}",
        "buyer": buyer,
        "type": kind,
        "timestamp": time.time_ns() // 1_000_000,
        "product_id": "p1",
        "price": 2.5,
        "currency": "USD",
    }
