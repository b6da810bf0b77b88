"""simpersona.js in a real browser, against a collector that answers as each test says."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ops.documents.pages import DOCS
from tests.clients.browser.conftest import API, CLIENT, KEY, SHOP, Answer, Shop

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MOST_BYTES = 4_000
KEYED = f'data-key="{KEY}"'
NO_PAGES = f'{KEYED} data-pages="off"'


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Shop]]:
    shops: list[Shop] = []

    def open_shop(attributes: str = KEYED, before: str = "", path: str = "/") -> Shop:
        shops.append(Shop(chromium, attributes, before))
        shops[-1].open(path)
        return shops[-1]

    yield open_shop
    for shop in shops:
        shop.context.close()


def test_it_is_small() -> None:
    assert len(gzip.compress((CLIENT / "simpersona.js").read_bytes(), 9)) < MOST_BYTES


def test_the_document_has_the_hash_and_every_call(visit: Callable[..., Shop]) -> None:
    page = (DOCS / "browser.md").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha384((CLIENT / "simpersona.js").read_bytes()).digest()).decode()
    assert f'integrity="sha384-{digest}"' in page, "docs/browser.md has the hash of another simpersona.js"
    code = (CLIENT / "simpersona.js").read_text(encoding="utf-8")
    listed = re.search(r"const commands = \{\n(.*?)\n  \};", code, re.DOTALL)
    assert listed is not None
    calls = set(re.findall(r"^    (\w+):", listed[1], re.MULTILINE)) | {
        "start",
        "consent",
        "persona",
        "page",
        "flush",
    }
    calls |= set(re.findall(r"(\w+): who", listed[1]))
    table = page[page.index("| call |") : page.index("| attribute")]
    assert calls == set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE))))


def test_a_visit_is_sent_in_one_batch_as_events_of_the_contract(visit: Callable[..., Shop]) -> None:
    shop = visit()
    mug = {"product_id": "p1", "category": "home/kitchen", "brand": "b", "price": 9.5, "currency": "EUR"}
    cart = {"items": [{**mug, "quantity": 2}, {"product_id": "p2", "price": 40}], "currency": "EUR"}
    for call in (
        ["list", "home"], ["search", "blue mug"], ["product", {**mug, "secret": "x", "quantity": None}],
        ["add", {**mug, "quantity": 2}], ["remove", mug], ["cart", cart], ["checkout", cart],
        ["payment", cart], ["purchase", {**cart, "order": "A-1", "value": 55}], ["signup"], ["login"],
    ):  # fmt: skip
        shop.tell(*call)
    assert shop.bodies == []
    shop.let_pass(1_100)
    (body,) = shop.bodies
    assert shop.urls == [f"{API}/v1/events?key={KEY}"]
    assert [event["type"] for event in body] == [
        "page_view", "list_view", "search", "product_view", "add_to_cart", "remove_from_cart", "view_cart",
        "begin_checkout", "add_payment_info", "purchase", "sign_up", "login",
    ]  # fmt: skip
    assert len({event["event_id"] for event in body}) == len(body)
    assert len({event["buyer"] for event in body}) == 1
    listed, searched, viewed = body[1:4]
    assert (listed["category"], searched["query"]) == ("home", "blue mug")
    assert {name: viewed[name] for name in mug} == mug
    assert set(viewed) == {"event_id", "buyer", "type", "timestamp", *mug}  # nothing that no one named
    assert {name: body[6].get(name) for name in ("product_id", "price", "value", "currency")} == {
        "product_id": "p2", "price": 40, "value": 59, "currency": "EUR"
    }  # fmt: skip
    assert (body[9]["value"], body[9]["order"], body[9]["event_id"]) == (55, "A-1", "order-A-1")
    assert shop.console == []


def test_calls_before_the_script_came_are_not_lost(visit: Callable[..., Shop]) -> None:
    stub = "window.simpersona ||= function () { (simpersona.q ||= []).push(arguments); };"
    started = json.dumps({"key": KEY, "url": API, "pages": "off"})
    shop = visit("", f"{stub} simpersona('start', {started}); simpersona('search', 'mug');")
    shop.let_pass(1_100)
    assert shop.types == ["search"]


def test_a_page_of_one_app_is_a_page_view_when_its_address_changes(visit: Callable[..., Shop]) -> None:
    shop = visit()
    moves = ("pushState({}, '', '/a')", "replaceState({}, '', '/a')", "pushState({}, '', '/a#top')",
             "pushState({}, '', '/a#/cart')", "replaceState({}, '', '/b?x=1')")  # fmt: skip
    for move in moves:
        shop.page.evaluate(f"history.{move}")
    shop.page.evaluate("new Promise((done) => { addEventListener('popstate', done); history.back(); })")
    shop.let_pass(1_100)
    assert (
        shop.types == ["page_view"] * 5
    )  # the first page, /a, /a#/cart, /b and back: not the same place again


def test_pages_can_be_left_to_the_shop(visit: Callable[..., Shop]) -> None:
    shop = visit(NO_PAGES)
    shop.page.evaluate("history.pushState({}, '', '/a')")
    shop.tell("page")
    shop.let_pass(1_100)
    assert shop.types == ["page_view"]


def test_nothing_is_stored_before_consent_and_all_is_gone_after_its_end(visit: Callable[..., Shop]) -> None:
    shop = visit()
    first = shop.tell("id")
    shop.let_pass(1_100)
    assert shop.kept() == {}
    shop.open("/next")
    assert shop.tell("id") != first  # nothing was kept: somebody else
    shop.tell("consent", True)
    second = shop.tell("id")
    assert shop.kept() == {"simpersona.id": second}
    shop.open("/third")
    assert shop.tell("id") == second
    shop.tell("consent", False)
    assert shop.kept() == {}
    before = len(shop.bodies)
    shop.tell("search", "mug")
    shop.let_pass(5_000)
    shop.leave()
    assert len(shop.bodies) == before


def test_events_wait_for_consent_where_the_shop_says_so(visit: Callable[..., Shop]) -> None:
    shop = visit(f'{KEYED} data-consent="required"')
    shop.tell("search", "mug")
    shop.let_pass(60_000)
    shop.leave()
    assert (shop.bodies, shop.kept()) == ([], {})
    shop.tell("consent", True)
    shop.let_pass(0)
    assert shop.types == ["page_view", "search"]
    refused = visit(f'{KEYED} data-consent="required"')
    refused.tell("consent", False)
    refused.tell("consent", True)
    refused.let_pass(1_100)
    assert refused.types == []  # what came before a no is gone


@pytest.mark.parametrize(
    "signal",
    ["navigator, 'globalPrivacyControl', {value: true}", "navigator, 'doNotTrack', {value: '1'}",
     "window, 'doNotTrack', {value: '1'}"],
)  # fmt: skip
def test_global_privacy_control_and_do_not_track_silence_it(visit: Callable[..., Shop], signal: str) -> None:
    shop = visit(KEYED, f"localStorage['simpersona.id'] = 'of before'; Object.defineProperty({signal})")
    shop.tell("consent", True)
    shop.tell("product", {"product_id": "p1"})
    shop.let_pass(60_000)
    shop.leave()
    assert shop.page.evaluate("new Promise((tell) => simpersona('persona', 'spt_x.y', tell))") is None
    assert (shop.bodies, shop.kept()) == ([], {})


def test_the_shops_own_id_names_the_shopper(visit: Callable[..., Shop]) -> None:
    shop = visit(f'{KEYED} data-buyer="4711"')
    shop.tell("consent", True)
    shop.tell("buyer", 4712)
    shop.tell("login")
    shop.let_pass(1_100)
    assert [event["buyer"] for event in shop.events] == ["4711", "4712"]
    assert shop.kept() == {}  # the shop knows its own shopper


@pytest.mark.parametrize("status", [0, 408, 429, 500, 503])
def test_what_was_not_taken_is_sent_again_as_the_same_events(visit: Callable[..., Shop], status: int) -> None:
    shop = visit()
    shop.answers = [Answer(status), Answer(status)]
    shop.let_pass(1_100)
    shop.tell("search", "mug")  # more comes meanwhile
    assert len(shop.bodies) == 1
    shop.let_pass(2_100)  # at least one second, at most two
    shop.let_pass(4_100)
    first, second, third = shop.bodies
    assert first[0] == second[0] == third[0]
    assert [event["type"] for event in third] == ["page_view", "search"]
    shop.let_pass(120_000)
    assert len(shop.bodies) == 3


def test_it_waits_as_long_as_the_collector_says(visit: Callable[..., Shop]) -> None:
    shop = visit()
    shop.answers = [Answer(429, headers={"Retry-After": "30"})]
    shop.let_pass(1_100)
    shop.let_pass(29_000)
    assert len(shop.bodies) == 1
    shop.let_pass(1_500)
    assert len(shop.bodies) == 2


def test_what_is_refused_is_said_once_and_not_sent_again(visit: Callable[..., Shop]) -> None:
    shop = visit()
    shop.answers = [
        Answer(422, {"detail": "no item is an event", "errors": [{"detail": "price is not a number"}]}),
        Answer(403, {"detail": "other"}),
    ]
    shop.let_pass(1_100)
    shop.tell("search", "mug")
    shop.let_pass(1_100)
    shop.let_pass(120_000)
    assert len(shop.bodies) == 2
    assert [line for line in shop.console if "Failed to load resource" not in line] == [
        "simpersona: price is not a number"
    ]


def test_a_page_that_is_left_hands_its_events_to_a_beacon(visit: Callable[..., Shop]) -> None:
    shop = visit()
    shop.leave()
    assert (shop.types, shop.kinds) == (["page_view"], ["ping"])
    shop.leave()
    assert len(shop.bodies) == 1
    refuses = visit(KEYED, "navigator.sendBeacon = () => false")
    refuses.leave()
    assert (refuses.types, refuses.kinds) == (["page_view"], ["fetch"])  # which ends after the page


def test_what_could_not_be_sent_is_kept_with_consent_for_the_next_page(visit: Callable[..., Shop]) -> None:
    for agrees in (True, False):
        shop = visit(NO_PAGES)
        if agrees:
            shop.tell("consent", True)
        shop.answers = [Answer(0)]
        shop.tell("search", "mug")
        shop.let_pass(1_100)
        shop.leave()
        shop.open("/next")
        shop.let_pass(1_100)
        again = shop.events[1:]
        assert again == (shop.events[:1] if agrees else [])
        assert "simpersona.unsent" not in shop.kept()


def test_a_queue_is_bounded_and_batches_are_small(visit: Callable[..., Shop]) -> None:
    shop = visit(NO_PAGES)
    shop.answers = [Answer(0)]
    shop.page.evaluate("for (let i = 0; i < 300; i++) simpersona('search', `${i} ` + 'é'.repeat(3000))")
    for _ in range(40):
        shop.let_pass(1_000)
    kept = list(dict.fromkeys(event["query"].split()[0] for event in shop.events[20:]))
    assert kept == [str(number) for number in range(100, 300)]  # the newest
    for body in shop.bodies:
        assert len(body) <= 20
        assert len(json.dumps(body, ensure_ascii=False).encode()) < 65_536  # what a beacon may carry


def test_nothing_that_a_shop_does_wrong_stops_its_page(visit: Callable[..., Shop]) -> None:
    blocked = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('blocked'); }})"
    shop = visit(KEYED, blocked)
    shop.tell("consent", True)
    shop.tell("no such command")
    shop.tell("purchase", {"items": 7})
    shop.tell("product")
    shop.let_pass(1_100)
    assert shop.types == ["page_view", "product_view"]
    assert len(shop.console) == 1
    assert shop.console[0].startswith("simpersona: no such command")


def test_without_a_key_it_does_nothing(visit: Callable[..., Shop]) -> None:
    shop = visit("")
    shop.tell("search", "mug")
    shop.let_pass(60_000)
    assert (shop.bodies, shop.kept(), shop.console) == ([], {}, [])


def test_two_tags_count_once(visit: Callable[..., Shop]) -> None:
    shop = visit()
    shop.page.evaluate(
        """([src, key]) => new Promise((done) => {
          const tag = Object.assign(document.createElement("script"), {src, onload: done});
          tag.dataset.key = key;
          document.head.append(tag);
        })""",
        [f"{API}/simpersona.js", KEY],
    )
    shop.let_pass(1_100)
    assert shop.types == ["page_view"]


def test_a_token_reads_the_shoppers_own_persona(visit: Callable[..., Shop]) -> None:
    shop = visit(NO_PAGES)
    shop.answers = [
        Answer(200, {"type": "comparer"}, {"Access-Control-Allow-Headers": "authorization"}),
        Answer(404),
    ]
    asked: Any = "token => new Promise((tell) => simpersona('persona', token, tell))"
    assert shop.page.evaluate(asked, "spt_a.b") == {"type": "comparer"}
    assert shop.page.evaluate(asked, "spt_a.b") is None
    assert set(shop.urls) == {f"{API}/v1/persona"}  # no token in an address
    assert SHOP not in "".join(shop.urls)
