"""A shopper clicks through a shop in Chromium; the dashboard, open beside it, shows their type."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from feature_store.contract.identity import BuyerHasher
from ops.stack.kafka import Kafka
from tests.api_process import SCOPES, Api
from tests.clients.browser.shop import page, serving
from tests.ops.dashboards.tab import Tab
from tests.rig import Rig

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HASHER = BuyerHasher(bytes.fromhex("ab" * 32))
STORE = "little"
PATIENCE_MS = 60_000


@dataclass
class Street:
    """A shop's origin with what it serves, and the API of its simpersona."""

    origin: str
    pages: list[str]
    api: Api
    key: str


@pytest.fixture(scope="module")
def live(chromium: Browser, kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    kafka.start()
    rig = Rig(kafka, tmp_path_factory.mktemp("shop-rig"))
    rig.worker()
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def street(live: Rig) -> Iterator[Street]:
    api, pages = Api(live, heartbeat_s=0.5), [""]
    with serving(pages) as origin:
        key = api.page_key(STORE, origin, "null")
        yield Street(origin, pages, api, key)
    assert api.stop() == 0, api.log.read_text()


@pytest.fixture(scope="module")
def operator_key(street: Street) -> str:
    return street.api.new_key("*", *SCOPES, "operation:read", "refused:read", "tokens:create")


@pytest.fixture
def tab(chromium: Browser, street: Street) -> Iterator[Page]:
    street.pages[0] = page(street.api.url, street.key, "A-1")
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def shop_around(tab: Page) -> None:
    """Look at three things, take one, buy it."""
    for name in ("mug", "lamp", "rug"):
        tab.click(f"#{name}")
        if name == "rug":
            tab.click("#add")
        tab.click("#back")
    tab.click("#checkout")
    tab.click("#buy")


def test_the_dashboard_beside_the_shop_shows_the_shoppers_type(
    chromium: Browser, live: Rig, street: Street, tab: Page, operator_key: str
) -> None:
    beside = Tab(chromium, street.api)
    try:
        with street.api.client(operator_key) as operator:
            beside.open(operator_key, STORE)
            beside.see("#stream", "Live")  # before the first event, which is always sent
            tab.goto(street.origin)
            tab.wait_for_function("simpersona.loaded")
            buyer = tab.evaluate("simpersona('id')")
            tab.click("#mug")
            beside.see("#rows button", HASHER.buyer(STORE, buyer)[:8])
            beside.page.click(f'#rows button[data-buyer="{HASHER.buyer(STORE, buyer)}"]')
            tab.click("#back")
            shop_around(tab)
            beside.see("#who-path li[aria-current]", "Purchased")
            found = operator.get(f"/v1/stores/{STORE}/buyers/{buyer}/persona").raise_for_status().json()
            assert found["funnel_stage"] == "purchased"
            assert found["type"] is not None
            row = f'#rows tr:has(button[data-buyer="{HASHER.buyer(STORE, buyer)}"])'
            beside.see(row, re.compile(found["type"].replace("-", " "), re.IGNORECASE))
    finally:
        beside.close()
    assert beside.complaints == []


def test_events_of_a_shopper_who_leaves_at_once_arrive(
    live: Rig, street: Street, tab: Page, operator_key: str
) -> None:
    tab.goto(street.origin)
    tab.wait_for_function("simpersona.loaded")
    buyer = tab.evaluate("simpersona('id')")
    tab.click("#rug")
    tab.goto("about:blank")
    with street.api.client(operator_key) as operator:
        path = f"/v1/stores/{STORE}/buyers/{buyer}/persona"
        live.wait_for(lambda: operator.get(path).json().get("events", 0) >= 3, "what the beacon carried")


def test_a_page_of_another_origin_is_told_nothing_and_sends_nothing(
    chromium: Browser, street: Street, operator_key: str
) -> None:
    stolen = [page(street.api.url, street.key, "A-2")]
    with serving(stolen) as evil:
        context = chromium.new_context()
        tab, said = context.new_page(), list[str]()
        tab.on("console", lambda line: said.append(line.text))
        tab.goto(evil)
        tab.wait_for_function("simpersona.loaded")
        buyer = tab.evaluate("simpersona('id')")
        with tab.expect_event("requestfailed", timeout=PATIENCE_MS) as failed:
            tab.evaluate("simpersona('flush')")
        assert "/v1/events" in failed.value.url
        assert any("CORS policy" in line for line in said)
        with street.api.client(operator_key) as operator:
            answer = operator.get(f"/v1/stores/{STORE}/buyers/{buyer}/persona")
            assert answer.json()["type"] == "urn:simpersona:unknown-buyer"
        context.close()


def test_a_pinned_script_runs_and_a_sandboxed_frame_sends(
    live: Rig, street: Street, tab: Page, operator_key: str
) -> None:
    with httpx.Client() as client:
        script = client.get(f"{street.api.url}/simpersona.js").content
    digest = base64.b64encode(hashlib.sha384(script).digest()).decode()
    pinned = f'crossorigin="anonymous" integrity="sha384-{digest}"'
    tag = f'<script async src="{street.api.url}/simpersona.js" data-key="{street.key}" {pinned}'
    inner = html.escape(f'{tag} data-buyer="framed"></script>')
    street.pages[0] = f'<!doctype html><iframe sandbox="allow-scripts allow-forms" srcdoc="{inner}"></iframe>'
    tab.goto(street.origin)
    with street.api.client(operator_key) as operator:
        path = f"/v1/stores/{STORE}/buyers/framed/persona"
        live.wait_for(lambda: operator.get(path).status_code == 200, "an event from the frame")


def test_a_page_reads_its_own_shoppers_persona_with_a_token(
    live: Rig, street: Street, tab: Page, operator_key: str
) -> None:
    tab.goto(street.origin)
    tab.wait_for_function("simpersona.loaded")
    buyer = tab.evaluate("simpersona('id')")
    with street.api.client(operator_key) as server:
        path = f"/v1/stores/{STORE}/buyers/{buyer}"
        live.wait_for(lambda: server.get(f"{path}/persona").json().get("early") is False, "the persona")
        token = server.post(f"{path}/token").raise_for_status().json()["token"]
        found = server.get(f"{path}/persona").json()
    asked = "token => new Promise((tell) => simpersona('persona', token, tell))"
    assert tab.evaluate(asked, token)["type"] == found["type"]
    assert tab.evaluate(asked, token[:-2] + ("AA" if token[-2:] != "AA" else "BB")) is None
