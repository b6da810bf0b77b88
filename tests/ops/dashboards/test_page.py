"""The dashboard page in a real browser, on a real API beside a real worker."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

from feature_store.contract.identity import BuyerHasher
from ops.dashboards.page import PAGE, policy
from tests.api_process import SCOPES, Api
from tests.ops.dashboards.accessibility import broken_rules, weak_text
from tests.ops.dashboards.conftest import click
from tests.ops.dashboards.tab import Tab
from tests.rig import Rig, Worker

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HASHER = BuyerHasher(bytes.fromhex("ab" * 32))
JOURNEY = ("page_view", "product_view", "add_to_cart", "begin_checkout", "purchase")


@pytest.fixture
def store(operator: httpx.Client) -> str:
    """A store of its own, with one shopper."""
    name = f"shop-{uuid.uuid4().hex[:6]}"
    click(operator, name, "passer-by", 1)
    return name


def follow_button(store: str, buyer: str) -> str:
    return f'#rows button[data-buyer="{HASHER.buyer(store, buyer)}"]'


def test_a_shopper_is_followed_from_the_first_click_to_the_purchase(
    visit: Callable[..., Tab], operator: httpx.Client, operator_key: str, store: str
) -> None:
    tab = visit()
    page = tab.open(operator_key, store)
    tab.see("#stream", "Live")
    click(operator, store, "anna", 1, JOURNEY[0])
    page.click(follow_button(store, "anna"))
    tab.see("#follow-title", f"Following {HASHER.buyer(store, 'anna')[:8]}")
    tab.see("#who-path li[aria-current]", "Browsing")
    for number, (kind, step) in enumerate(
        zip(JOURNEY[1:], ("Browsing", "Cart", "Checkout", "Purchased"), strict=True), start=2
    ):
        click(operator, store, "anna", number, kind)
        tab.see("#who-path li[aria-current]", step)
    tab.see("#log li.stage", "Purchased")
    tab.see("#log li", "first event")
    entries = page.locator("#log li").all_inner_texts()
    assert "first event" in entries[-1]  # the newest is first
    stages = [step for entry in entries for step in ("Purchased", "Checkout", "Cart") if entry.endswith(step)]
    assert stages == ["Purchased", "Checkout", "Cart"]
    tab.see(follow_button(store, "anna") + "[aria-pressed=true]", re.compile(r"^[0-9a-f]{8}$"))
    assert tab.complaints == []


def test_the_link_leaves_no_key_behind(visit: Callable[..., Tab], operator_key: str, store: str) -> None:
    tab = visit()
    page = tab.open(operator_key, store)
    tab.see("#title", f"Shoppers of {store}")
    assert page.url == f"{tab.api.url}/"
    assert operator_key not in page.content()
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("document.cookie") == ""
    page.reload()
    tab.see("#stream", "Live")
    page.click("#forget")
    tab.see("h1", "Who is shopping?")
    assert page.evaluate("sessionStorage.length") == 0
    page.reload()
    tab.see("h1", "Who is shopping?")
    assert tab.complaints == []


def test_a_key_that_does_not_hold_is_said_and_not_kept(visit: Callable[..., Tab], operator_key: str) -> None:
    tab = visit()
    page = tab.open()
    assert page.evaluate("document.activeElement.id") == "key"
    page.fill("#key", operator_key[:-1] + ("A" if operator_key[-1] != "A" else "B"))
    page.click("#door button")
    tab.see("[role=alert]", "This key is not valid")
    assert page.evaluate("sessionStorage.length") == 0
    assert page.evaluate("document.activeElement.id") == "key"
    assert broken_rules(page) == []
    assert weak_text(page) == []


def test_a_revoked_key_closes_the_page(visit: Callable[..., Tab], api: Api, store: str) -> None:
    key = api.new_key(store)
    tab = visit()
    tab.open(key)
    tab.see("#stream", "Live")
    api.keys("revoke", key.split("_")[1])
    tab.see("[role=alert]", "mistyped or revoked")


def test_a_shops_key_shows_the_shop_and_says_what_it_may_not_show(
    visit: Callable[..., Tab], api: Api, store: str
) -> None:
    tab = visit()
    page = tab.open(api.new_key(store, "personas:read"))
    tab.see("#title", f"Shoppers of {store}")
    tab.see("#operation-note", "operation:read")
    tab.see("#stream", "no scope stream:read")
    assert page.locator("#store option").all_inner_texts() == [store]
    tab.see("#types th", "Keen new looker")
    before = sum(url.endswith("/v1/operation") for url in tab.asked)
    for _ in range(3):
        tab.let_pass(6_000)
    assert sum(url.endswith("/v1/operation") for url in tab.asked) == before == 1  # it is not asked again


def test_a_store_without_shoppers_says_so(visit: Callable[..., Tab], api: Api) -> None:
    tab = visit()
    page = tab.open(api.new_key("empty"))
    tab.see("#no-shoppers", "No shoppers yet")
    tab.see("#mix-note", "No shoppers were counted lately")
    tab.see("#drift-note", "Nothing to compare yet")
    assert page.is_hidden("#shoppers")
    assert broken_rules(page) == []
    assert weak_text(page) == []


def test_an_installation_on_which_no_worker_has_run(chromium: Browser, make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    api = Api(rig)
    key = api.new_key("*", *SCOPES, "operation:read", "refused:read")
    with api.client(key) as client:
        assert client.get("/v1/stores").json()["stores"] == []
        assert client.get("/v1/stores/acme/distribution").json()["now"] is None
        assert client.get("/v1/stores/acme/drift").json()["found"]["history"] == []
    tab = Tab(chromium, api)
    page = tab.open(key)
    tab.see("#title", "No store yet")
    tab.see("#stream", "No store has sent events yet")
    tab.see("#operation-note", "SIMPERSONA_DASHBOARD_WORKERS names no worker")
    assert broken_rules(page) == []
    assert weak_text(page) == []
    rig.worker()
    rig.send(50)
    tab.see("#title", "Shoppers of acme")  # by itself
    tab.see("#stream", "Live")
    assert tab.complaints == []
    tab.close()
    assert api.stop() == 0


def test_the_keyboard_is_enough(
    visit: Callable[..., Tab], operator: httpx.Client, operator_key: str, store: str
) -> None:
    tab = visit()
    page = tab.open()
    page.keyboard.type(operator_key)
    page.keyboard.press("Enter")
    tab.see("#stream", "Live")
    assert page.evaluate("document.activeElement.id") == "title"  # where the page begins
    page.select_option("#store", store)
    tab.see("#rows button", re.compile(r"^[0-9a-f]{8}$"))
    page.reload()
    tab.see("#rows button", re.compile(r"^[0-9a-f]{8}$"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]  # on the screen while it has focus
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "shoppers-title"
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.tagName") != "BUTTON":  # a scrolled region may come first
        page.keyboard.press("Tab")
    chosen = page.evaluate("document.activeElement.dataset.buyer")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    tab.see("#follow-title", f"Following {chosen[:8]}")
    tab.see("[role=status]", f"Following {chosen[:8]}")
    for number in range(20):  # others come, but nobody takes the row away under the focus
        click(operator, store, f"crowd-{number}", 1)
    tab.see("#seen", re.compile("2[1-9] seen"))
    tab.let_pass(6_000)
    assert page.evaluate("document.activeElement.dataset.buyer") == chosen
    page.keyboard.press("Escape")
    tab.see("#nobody", "No shopper chosen")
    assert tab.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_both_schemes(
    visit: Callable[..., Tab], live: Rig, operator: httpx.Client, operator_key: str, scheme: str
) -> None:
    tab = visit(scheme)
    page = tab.open(operator_key, "acme")
    with live.trickle(40):
        tab.see("#latency-more", "99 of 100 within")
        tab.see("#features td", re.compile("moved|steady"))
        page.locator("#rows button").first.click()
        tab.see("#log li", "code")
        page.click("#card summary")
        page.click("#all-features")
        page.click("#pause")
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert dark == (scheme == "dark")
    assert broken_rules(page) == []
    assert weak_text(page) == []
    assert tab.complaints == []


def test_a_paused_page_stands_still(
    visit: Callable[..., Tab], operator: httpx.Client, operator_key: str, store: str
) -> None:
    tab, beside = visit(), visit()
    page = tab.open(operator_key, store)
    tab.see("#seen", "1 seen")
    beside.open(operator_key, store)
    page.click("#pause")
    tab.see("#seen", "paused")
    click(operator, store, "late", 1)
    beside.see("#seen", "2 seen")
    tab.let_pass(2_000)
    assert page.locator("#rows tr").count() == 1
    page.click("#pause")
    tab.see("#seen", "2 seen")
    assert page.locator("#rows tr").count() == 2


def test_a_shopper_is_found_by_the_shops_own_id(
    visit: Callable[..., Tab], operator_key: str, store: str
) -> None:
    tab = visit()
    page = tab.open(operator_key, store)
    tab.see("#seen", "1 seen")
    page.fill("#find-id", "nobody-of-that-name")
    page.click("#find button")
    tab.see("#find-trouble", "No shopper with this id: unknown")
    page.fill("#find-id", "passer-by")
    page.click("#find button")
    tab.see("#follow-title", HASHER.buyer(store, "passer-by")[:8])
    assert not any("passer-by" in url for url in tab.asked)  # an own id is in no address


def test_an_erased_shopper_is_forgotten(
    visit: Callable[..., Tab], operator: httpx.Client, operator_key: str, store: str
) -> None:
    tab = visit()
    page = tab.open(operator_key, store)
    page.click(follow_button(store, "passer-by"))
    assert operator.delete(f"/v1/stores/{store}/buyers/passer-by").status_code < 300
    tab.see("#find-trouble", "This shopper was erased")
    page.locator(follow_button(store, "passer-by")).wait_for(state="detached")
    assert HASHER.buyer(store, "passer-by")[:8] not in page.inner_text("main:visible")


def test_the_page_says_when_the_worker_is_away(
    visit: Callable[..., Tab], worker: Worker, operator_key: str, store: str
) -> None:
    tab = visit()
    tab.open(operator_key, store)
    tab.see("#lag-more", "1 of 1 worker")
    worker.kill()
    tab.see("#lag-more", "no worker answers: events wait")
    tab.see("#version-more", "not known")
    worker.start()
    tab.see("#lag-more", "1 of 1 worker")


def test_a_lost_stream_is_taken_up_again(
    visit: Callable[..., Tab], api: Api, operator: httpx.Client, operator_key: str, store: str
) -> None:
    tab = visit()
    page = tab.open(operator_key, store)
    tab.see("#seen", "1 seen")
    assert api.stop() == 0
    tab.see("#stream", "Stream lost, trying again")
    tab.see("#operation-trouble", "Not up to date: the API does not answer")
    assert page.locator("#rows tr").count() == 1  # what is known stays
    assert broken_rules(page) == []
    assert weak_text(page) == []
    api.start()
    page.click("#again")
    tab.see("#stream", "Live")
    page.locator("#operation-trouble").wait_for(state="hidden")
    click(operator, store, "newcomer", 1)
    tab.see("#seen", "2 seen")


def test_no_code_but_the_pages_own_runs(visit: Callable[..., Tab]) -> None:
    tab = visit()
    page = tab.open()
    tried = """(text) => { const script = document.createElement("script");
      try { script.textContent = text; document.head.append(script); } catch (error) { return error.name; }
      return "not refused"; }"""
    assert page.evaluate(tried, "window.ran = true") == "TypeError"
    inline = """() => { try { document.body.setAttribute("onclick", "window.ran = true"); }
      catch (error) { return error.name; } return "not refused"; }"""
    assert page.evaluate(inline) == "TypeError"
    assert page.evaluate("window.ran") is None
    assert page.evaluate("fetch('http://127.0.0.1:1/').catch((error) => error.name)") == "TypeError"
    tab.asked.clear()  # that one was ours


def test_the_policy_names_the_pages_own_code_and_nothing_wider() -> None:
    said = dict(part.split(" ", 1) for part in policy(PAGE.read_text()).split("; "))
    assert said["default-src"] == "'none'"
    for kind in ("script-src", "style-src"):
        assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", said[kind])
    assert said["connect-src"] == "'self'"
    text = PAGE.read_text()
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|url\(|@import|\sstyle=|\son\w+=""", text)
