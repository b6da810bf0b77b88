"""What a mapping file can say, key by key."""

from __future__ import annotations

from typing import Any

import pytest

from tests.feature_store.sources.adapters.mapping.maps import BASE, SEEN, adapted, event, skipped
from tests.feature_store.sources.adapters.payloads import HASHER, TIME_MS

NAMED = """
format = 1
buyer = "who"
time = "at"
time_unit = "ms"
event = "name"
fields = { product_id = ["sku", "id"], price = "price", category = "path", query = "q", value = "total" }
lines = { at = "products", product_id = ["sku", "^.fallback"], price = "price", quantity = "n" }
order = "order"

[names]
product_view = ["Product Viewed", "Viewed Product"]
list_view = ["List Viewed"]
search = ["Searched"]
page_view = ["page"]
purchase = ["Order Completed"]
other = ["Scrolled"]
"""


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ("'a+'", "aaa", True),
        ("'a+'", "aab", False),
        ("'view'", "view", True),
        ("'12'", 12, True),
        ("'true'", True, True),
        ("'a+'", None, False),
        ("'.*'", {}, False),
        ("'a+'", "\ud800", False),
        ("1", 1, True),
        ("1", 1.0, True),
        ("1", "1", True),
        ("1", " 1.0 ", True),
        ("1", True, False),
        ("1", "1_0", False),
        ("1", 2, False),
        ("1.5", "1.5", True),
        ("true", True, True),
        ("true", "TRUE", True),
        ("true", 1, False),
        ("false", "false", True),
        ("false", None, False),
        ("[1, 'a+', true]", "aa", True),
        ("[1, 'a+', true]", True, True),
        ("[1, 'a+', true]", 2, False),
        ("{ exists = true }", 0, True),
        ("{ exists = true }", "", False),
        ("{ exists = false }", None, True),
        ("{ exists = false }", "x", False),
    ],
)
def test_conditions(condition: str, value: Any, holds: bool) -> None:
    text = BASE + f'[[events]]\ntype = "login"\nwhere = {{ x = {condition} }}\n'
    assert skipped(text, x=value) == ({} if holds else {"unmapped_event": 1})


def test_an_expression_that_would_backtrack_takes_no_time() -> None:
    text = BASE + "[[events]]\ntype = \"login\"\nwhere = { x = '(a+)+(a|aa)*(.*a){20}b' }\n"
    assert skipped(text, x="a" * 100_000) == {"unmapped_event": 1}


@pytest.mark.parametrize("name", ["Product Viewed", "product_viewed", "PRODUCT-VIEWED", "productViewed"])
def test_names_in_any_spelling(name: str) -> None:
    seen = event(NAMED, name=name, id="p-1", price=5)
    assert (seen.type, seen.product_id, seen.price) == ("product_view", "p-1", 5.0)


def test_an_event_takes_only_the_fields_of_the_file_that_its_type_has() -> None:
    fields = {"sku": "p", "price": 5, "path": "Toys", "q": "bear", "total": 9}
    listed = event(NAMED, name="list viewed", **fields)
    assert (listed.category, listed.product_id, listed.price, listed.query) == ("Toys", None, None, None)
    searched = event(NAMED, name="searched", **fields)
    assert (searched.query, searched.category, searched.value) == ("bear", None, None)
    page = event(NAMED, name="page", **fields)
    assert (page.product_id, page.category, page.query, page.value) == (None, None, None, None)


def test_names_that_mean_nothing_are_told_from_unknown_ones() -> None:
    assert skipped(NAMED, name="scrolled") == {"other_event": 1}
    assert skipped(NAMED, name="scroled") == {"unmapped_event": 1}
    assert skipped(NAMED, name=None) == {"unmapped_event": 1}


def test_the_lines_of_the_file_are_those_of_an_order() -> None:
    products = {"0": {"sku": "a", "price": 10, "n": 1}, "2": {"price": 6, "n": 2}}
    bought = event(NAMED, name="order completed", order=7, total=22, products=products, fallback="f")
    assert (bought.product_id, bought.price, bought.quantity, bought.value) == ("f", 6.0, 2, 22.0)
    again = event(NAMED, name="order completed", order="7", at=TIME_MS + 5, products=[])
    assert again.event_id == bought.event_id


def test_a_rule_comes_before_names_and_its_fields_before_the_files() -> None:
    rule = """
[[events]]
type = "product_view"
where = { name = "Quick Look", card = true }
fields = { product_id = "card_id" }
"""
    seen = event(NAMED + rule, name="Quick Look", card=True, card_id="c", id="p", price=3)
    assert (seen.product_id, seen.price) == ("c", 3.0)
    without = event(NAMED + rule, name="Quick Look", card=True, id="p")
    assert without.product_id == "p"


@pytest.mark.parametrize(
    ("place", "record", "expected"),
    [
        ('["a", "b"]', {"b": "2"}, "2"),
        ('["a", "b"]', {"a": "undefined", "b": "2"}, "2"),
        ('["a", "b"]', {"a": "1", "b": "2"}, "1"),
        ('["a", { const = "some" }]', {}, "some"),
        ("{ const = 7 }", {}, "7"),
        ('{ path = "a", unknown = [0, "-"] }', {"a": 0}, None),
        ('{ path = "a", unknown = [0, "-"] }', {"a": "-"}, None),
        ('{ path = "a", unknown = [0, "-"] }', {"a": 1}, "1"),
        ("'\"a.b\"'", {"a.b": "x"}, "x"),
    ],
)
def test_places(place: str, record: dict[str, Any], expected: str | None) -> None:
    text = SEEN + f"fields = {{ product_id = {place} }}"
    assert event(text, **record).product_id == expected


@pytest.mark.parametrize(
    ("separator", "category", "expected"),
    [
        (">", "Men > Shoes >Running", "Men/Shoes/Running"),
        ("|", "Men||Shoes|", "Men/Shoes"),
        (">", "Men", "Men"),
        (">", " > ", None),
    ],
)
def test_a_category_is_a_path_by_its_separator(separator: str, category: str, expected: str | None) -> None:
    text = SEEN + f'fields = {{ category = {{ path = "c", separator = "{separator}" }} }}'
    assert event(text, c=category).category == expected


SESSIONS = """
format = 1
each = "sessions.*.events"
buyer = "^.^.user"
time = "ts"
time_unit = "ms"
event = "kind"
names = { product_view = ["clicks"], purchase = ["orders"] }
fields = { product_id = "aid", category = "^.shelf" }
"""


def test_a_record_of_many_events() -> None:
    events = [{"kind": "clicks", "aid": 1, "ts": TIME_MS}, {"kind": "orders", "aid": 2, "ts": TIME_MS + 1}]
    record = {
        "user": "u-1",
        "sessions": [
            {"shelf": "toys", "events": events},
            {"shelf": "books", "events": []},
            {"shelf": "hats", "events": [{"kind": "carts", "aid": 3, "ts": TIME_MS}, events[0]]},
        ],
    }
    found = adapted(SESSIONS, record)
    assert [(event.type, event.product_id, event.category) for event in found.events] == [
        ("product_view", "1", "toys"),
        ("purchase", "2", "toys"),
        ("product_view", "1", "hats"),
    ]
    assert {event.buyer for event in found.events} == {HASHER.buyer("shop", "u-1")}
    assert (found.skipped, found.event_places) == ({"unmapped_event": 1}, [0, 1, 3])
    assert len({event.event_id for event in found.events}) == 3
    assert adapted(SESSIONS, record).events == found.events


@pytest.mark.parametrize("record", [{"user": "u-1"}, {"user": "u-1", "sessions": "none"}, [], None])
def test_a_record_without_its_list_is_said(record: Any) -> None:
    found = adapted(SESSIONS, record)
    assert found.skipped == {"invalid": 1}
    assert found.details


def test_an_empty_list_holds_no_event() -> None:
    assert adapted(SESSIONS, {"user": "u-1", "sessions": []})[:2] == ([], {})


IDS = 'format = 1\nanonymous_id = "anon"\nuser_id = "user"\ntime = "at"\ntime_unit = "ms"\n'


@pytest.mark.parametrize(
    ("record", "buyer"),
    [({"anon": "a", "user": "u"}, "a"), ({"anon": "null", "user": "u"}, "u"), ({"anon": "a"}, "a")],
)
def test_the_buyer_is_the_browser_and_the_account_without_one(record: dict[str, Any], buyer: str) -> None:
    text = IDS + '[[events]]\ntype = "login"\nwhere = {}\n'
    assert event(text, **record).buyer == HASHER.buyer("shop", buyer)


@pytest.mark.parametrize(
    ("consent", "answer", "taken"),
    [
        ('"ok"', True, True),
        ('"ok"', "Granted", True),
        ('"ok"', None, True),
        ('"ok"', "", True),
        ('"ok"', False, False),
        ('"ok"', "denied", False),
        ('"ok"', 0, False),
        ('"ok"', "perhaps", False),
        ('{ path = "ok", given = ["C0002"] }', ["C0001", "C0002"], True),
        ('{ path = "ok", given = ["C0002"] }', ["C0001"], False),
        ('{ path = "ok", given = ["(.*,)?C0002(,.*)?"] }', "C0001,C0002", True),
        ('{ path = "ok", given = ["(.*,)?C0002(,.*)?"] }', "C0001", False),
    ],
)
def test_who_did_not_agree_is_left_out_and_counted(consent: str, answer: Any, taken: bool) -> None:
    text = SEEN.replace("[[events]]", f"consent = {consent}\n[[events]]")
    assert skipped(text, ok=answer) == ({} if taken else {"opted_out": 1})


def test_a_value_that_is_repaired_is_noted_once() -> None:
    text = SEEN + 'fields = { product_id = "p", price = "price", currency = "code" }'
    (note,) = adapted(text, {"who": "b", "at": TIME_MS, "p": "p", "price": 5, "code": "usd"}).notes
    assert (note.field, note.reason) == ("currency", "letter_case")
