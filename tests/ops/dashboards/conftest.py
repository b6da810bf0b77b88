"""One Kafka, one worker and one API that knows where the worker's metrics are; and a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ops.stack.kafka import Kafka
from ops.stack.processes import free_ports
from tests.api_process import SCOPES, Api, event
from tests.ops.dashboards.tab import Tab
from tests.rig import Rig, Worker

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def window_s() -> int:
    """Short windows of event time, so that drift has something to show within seconds."""
    return 10


@pytest.fixture(scope="module")
def live(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    kafka.start()
    rig = Rig(kafka, tmp_path_factory.mktemp("page-rig"))
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def worker(live: Rig, window_s: int) -> Worker:
    (port,) = free_ports(1)
    return live.worker(environment={"SIMPERSONA_WINDOW_SECONDS": str(window_s)}, metrics_port=port)


@pytest.fixture(scope="module")
def api(live: Rig, worker: Worker, window_s: int) -> Iterator[Api]:
    environment = {
        "SIMPERSONA_WINDOW_SECONDS": str(window_s),
        "SIMPERSONA_DASHBOARD_WORKERS": json.dumps(
            [f"http://127.0.0.1:{worker.settings.metrics_port}/metrics"]
        ),
        "SIMPERSONA_DASHBOARD_EVERY_S": "0.5",
    }
    process = Api(live, environment=environment, heartbeat_s=0.5)
    yield process
    assert process.stop() == 0, process.log.read_text()


@pytest.fixture(scope="module")
def operator_key(api: Api) -> str:
    """May do everything in every store."""
    return api.new_key("*", *SCOPES, "operation:read", "refused:read")


@pytest.fixture(scope="module")
def operator(api: Api, operator_key: str) -> Iterator[httpx.Client]:
    with api.client(operator_key) as client:
        yield client


@pytest.fixture
def visit(chromium: Browser, api: Api) -> Iterator[Callable[..., Tab]]:
    """Open the page; every tab is closed at the end."""
    tabs: list[Tab] = []

    def open_tab(scheme: str = "light") -> Tab:
        tabs.append(Tab(chromium, api, scheme))
        return tabs[-1]

    yield open_tab
    for tab in tabs:
        tab.close()


def click(client: httpx.Client, store: str, buyer: str, number: int, kind: str = "product_view") -> None:
    """One event of a shopper, through the collector."""
    said: dict[str, Any] = event(f"{store}-{buyer}-{number}", buyer, kind) | {"store": store}
    answer = client.post("/v1/events", json=said)
    assert answer.status_code == 202, answer.text
