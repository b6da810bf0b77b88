"""What was refused, through the API and on the page."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from feature_store.contract.events import record_key
from feature_store.log.producer import Output
from inference.api.access.audit import read_audit
from tests.api_process import SCOPES, Api, event
from tests.ops.dashboards.accessibility import broken_rules, weak_text
from tests.ops.dashboards.tab import Tab
from tests.rig import Rig

if TYPE_CHECKING:
    pass

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TOO_WIDE = """[...document.querySelectorAll("[aria-labelledby=refusals-title] *")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > 361)
  .filter((one) => !one.closest(".scroll"))
  .map((one) => `${one.tagName}#${one.id}.${one.className} ${one.getBoundingClientRect().right}`)"""
"""What sticks out of the panel in a window of 360 pixels, but for the table, which scrolls."""


@pytest.fixture
def store() -> str:
    return f"shop-{uuid.uuid4().hex[:6]}"


def refuse(live: Rig, client: httpx.Client, store: str) -> None:
    """Three items at the door, and a record on Kafka that a worker refuses."""
    bad = event(1, "ann") | {"store": store, "type": "wishlist"}
    good = event(2, "ann") | {"store": store}
    assert client.post(f"/v1/events?store={store}", json=[bad, bad, bad, good]).status_code == 202
    raw = json.dumps(good | {"schema_version": 1, "timestamp": -1}).encode()
    output = Output(live.client_config(), 30.0)
    output.send(live.settings.topic, record_key(store, "ann"), raw)
    output.flush()


def refusals(client: httpx.Client, store: str) -> dict[str, Any]:
    return dict(client.get(f"/v1/stores/{store}/refused").raise_for_status().json())


def test_a_key_with_the_scope_sees_its_own_store_and_the_audit_log_says_so(
    live: Rig, api: Api, operator: httpx.Client, store: str
) -> None:
    key = api.new_key(store, "refused:read")
    refuse(live, operator, store)
    with api.client(key) as client:
        live.wait_for(
            lambda: refusals(client, store)["door"] and refusals(client, store)["records"],
            "both to be seen",
        )
        found = refusals(client, store)
        assert client.get("/v1/stores/other/refused").status_code == 403
    ((door,), (record,)) = found["door"], found["records"]
    assert (door["reason"], door["field"], door["count"]) == ("invalid_field", "type", 3)
    assert (record["reason"], record["field"], record["count"]) == ("invalid_field", "timestamp", 1)
    assert "ann" not in json.dumps(found)
    assert '"timestamp":-9' in record["example"]
    lines = [line for line in read_audit(live.folder / "home") if line.action == "read_refused"]
    assert {(line.store, line.key) for line in lines} == {(store, key.split("_")[1])}


def test_a_key_without_the_scope_is_refused(api: Api, store: str) -> None:
    with api.client(api.new_key(store, *SCOPES, "operation:read")) as client:
        answer = client.get(f"/v1/stores/{store}/refused")
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:simpersona:missing-scope")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_what_was_refused(
    visit: Callable[..., Tab],
    live: Rig,
    api: Api,
    operator: httpx.Client,
    operator_key: str,
    store: str,
    scheme: str,
) -> None:
    refuse(live, operator, store)
    live.wait_for(
        lambda: refusals(operator, store)["door"] and refusals(operator, store)["records"],
        "both to be seen",
    )
    tab = visit(scheme)
    page = tab.open(operator_key, store)
    tab.see("#refusal-rows td", "POST /v1/events, key")
    tab.see("#refusal-rows code", '"timestamp":-9')
    assert "ann" not in page.locator("#refusals").inner_text()
    assert broken_rules(page) == []
    assert weak_text(page) == []
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate(TOO_WIDE) == []
    page.set_viewport_size({"width": 1440, "height": 900})
    refuse(live, operator, store)
    live.wait_for(lambda: refusals(operator, store)["door"][0]["count"] == 6, "the next ones to be counted")
    page.click("#refusals-again")
    tab.see("#refusal-rows td", "6")
    assert tab.complaints == []


def test_the_page_says_that_nothing_was_refused_and_what_it_may_not_show(
    visit: Callable[..., Tab], api: Api, store: str
) -> None:
    tab = visit()
    tab.open(api.new_key(store, "personas:read", "stream:read", "refused:read"))
    tab.see("#no-refusals", "Nothing was refused")
    barred = visit()
    page = barred.open(api.new_key(store))
    barred.see("#refusals-note", "refused:read")
    assert page.is_hidden("#refusals-again")
