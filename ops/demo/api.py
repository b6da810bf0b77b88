"""The demo's API, when it stays: a process of its own, a key for whoever looks, and the page's address."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from feature_store.contract.identity import load_id_keys
from feature_store.log.config import KafkaSettings, librdkafka_config
from feature_store.online.client import AsyncStore, open_store
from inference.api.access.key_log import KeyLog
from inference.api.access.keys import ALL_STORES, Scope
from inference.api.access.register import KeyRegister
from inference.api.settings import ApiSettings
from ops.demo.worker import DemoWorker
from ops.stack.local import StackInfo
from ops.stack.processes import Say, Server, silent
from streams.settings import WorkerSettings


class DemoApi(Server):
    """`simpersona api` on the stack of the demo's folder."""

    name = "api"
    grace_seconds = 20  # longer than the API itself waits for answers under way

    def __init__(
        self,
        demo_folder: Path,
        info: StackInfo | None = None,
        worker: DemoWorker | None = None,
        *,
        say: Say = silent,
    ) -> None:
        super().__init__(demo_folder / "api", owned=True, say=say)
        self._demo_folder, self._info, self._worker = demo_folder, info, worker

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command line and its settings; makes the key of buyer ids where there is none yet."""
        load_id_keys(self._demo_folder, create=True)
        variables = {
            **(self._info.environment() if self._info else {}),
            "SIMPERSONA_HOME": str(self._demo_folder),
            "SIMPERSONA_API_PORT": str(self.port),
            "SIMPERSONA_API_PROCESSES": "1",  # the demo has one shop, and a laptop other work
            "SIMPERSONA_DASHBOARD_WORKERS": json.dumps([self._worker.address] if self._worker else []),
        }
        return [sys.executable, "-m", "ops.cli.main", "api"], variables

    def answers(self) -> bool:
        """Whether it is warm."""
        with suppress(OSError), urllib.request.urlopen(f"{self.address}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
        return False

    @property
    def address(self) -> str:
        """URL of the API."""
        return f"http://127.0.0.1:{self.port}"


class Invitation:
    """Says where the page is as soon as the API is warm, while shoppers still come."""

    def __init__(self, api: DemoApi, info: StackInfo, say: Say) -> None:
        self._api, self._info, self._say = api, info, say
        self.key: str | None = None

    def __call__(self) -> None:
        """Say it, once; nothing happens while the API still starts."""
        if self.key is None and self._api.answers():
            self.key = make_key(self._info)
            # After #: a browser sends it to nobody, and the page takes it out of the address.
            self._say(f"page {self._api.address}/#key={self.key}")


def make_key(info: StackInfo) -> str:
    """A key that may do everything in every store of the demo."""

    async def make() -> str:
        client, settings = open_store(info.redis_url), ApiSettings()
        try:
            new = await key_register(info, client).create(
                ALL_STORES, list(Scope), rate=settings.rate, burst=settings.burst, note="demo"
            )
        finally:
            await client.aclose()
        return new.token

    return asyncio.run(make())


def key_register(info: StackInfo, client: AsyncStore) -> KeyRegister:
    """The keys of a local stack. client: of its store."""
    kafka = librdkafka_config(KafkaSettings(bootstrap_servers=info.bootstrap_servers))
    settings = WorkerSettings()
    return KeyRegister(client, KeyLog(kafka, settings.keys_topic, settings.flush_timeout_s))
