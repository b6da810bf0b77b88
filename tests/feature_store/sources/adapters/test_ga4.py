from __future__ import annotations

from typing import Any

import pytest

from feature_store.contract.events import Event
from feature_store.sources.adapters.ga4 import EVENT_TYPES, adapt
from tests.feature_store.sources.adapters.payloads import (
    CRAWLER,
    GA4_ITEMS,
    HASHER,
    STORE,
    TIME_MS,
    ga4_message,
    ga4_row,
)

ORDER = {"transaction_id": "T-1", "currency": "usd", "value": 139.98, "items": GA4_ITEMS}
BEST = {
    "product_id": "p-18",
    "category": "Light",
    "brand": "Lux",
    "price": 100.0,
    "quantity": 1,
    "currency": "USD",
}
CASES = [
    ("page_view", {"page_location": "https://acme.example/"}, {"product_id": None}),
    ("screen_view", {}, {}),
    (
        "view_item_list",
        {"item_list_name": "Deals", "items": GA4_ITEMS},
        {"category": "Deals", "product_id": None},
    ),
    ("search", {"search_term": "red mug"}, {"query": "red mug"}),
    ("view_search_results", {"search_term": "red mug"}, {"query": "red mug"}),
    (
        "view_item",
        {"currency": "USD", "value": 19.99, "items": GA4_ITEMS[:1]},
        {"product_id": "p-17", "category": "Home/Kitchen", "brand": "Acme", "price": 19.99},
    ),
    ("add_to_cart", ORDER, BEST | {"value": 139.98}),
    ("remove_from_cart", ORDER, BEST),
    ("view_cart", ORDER, BEST),
    ("begin_checkout", ORDER, BEST),
    ("add_payment_info", ORDER, BEST),
    ("purchase", ORDER, BEST | {"value": 139.98}),
    ("refund", ORDER, {"value": 139.98}),
    ("sign_up", {"method": "Google"}, {}),
    ("login", {"method": "Google"}, {}),
]


def only(payload: Any) -> Event:
    adapted = adapt(payload, store=STORE, hasher=HASHER)
    assert adapted.skipped == {}
    (event,) = adapted.events
    return event


@pytest.mark.parametrize(("name", "params", "expected"), CASES, ids=[case[0] for case in CASES])
def test_measurement_protocol_event(name: str, params: Any, expected: dict[str, Any]) -> None:
    event = only(ga4_message({"name": name, "params": params}))
    assert event.type == EVENT_TYPES[name]
    assert event.buyer == HASHER.buyer(STORE, "123.456")
    assert event.timestamp == TIME_MS
    assert event.session_id is None
    assert {field: getattr(event, field) for field in expected} == expected


def test_every_mapped_event_is_tested() -> None:
    assert [case[0] for case in CASES] == list(EVENT_TYPES)


def test_exported_purchase() -> None:
    row = ga4_row(
        "purchase",
        items=GA4_ITEMS,
        ecommerce={"transaction_id": "T-1", "purchase_revenue": 139.98, "total_item_quantity": "3"},
        event_params=[{"key": "currency", "value": {"string_value": "usd", "int_value": None}}],
    )
    event = only(row)
    assert event.timestamp == TIME_MS
    assert (event.type, event.value, event.currency, event.product_id) == ("purchase", 139.98, "USD", "p-18")
    assert event.event_id == only(ga4_message({"name": "purchase", "params": ORDER})).event_id


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ({"double_value": 12.5}, 12.5),
        ({"int_value": "12"}, 12.0),
        ({"float_value": 1.5, "string_value": None}, 1.5),
    ],
)
def test_exported_value_of_any_column(typed: dict[str, Any], value: float) -> None:
    row = ga4_row("begin_checkout", event_params=[{"key": "value", "value": typed}])
    assert only(row).value == value


def test_not_set_is_no_order_and_no_category() -> None:
    one = ga4_row("purchase", items=[{"item_id": "p", "item_category": "(not set)"}])
    two = one | {"event_bundle_sequence_id": "6"}
    assert only(one).category is None
    assert only(one).event_id != only(two).event_id


def test_equal_events_of_one_payload_are_told_apart_and_a_payload_sent_again_is_not() -> None:
    view = {"name": "page_view", "params": {}}
    payload = ga4_message(view, view)
    ids = [event.event_id for event in adapt(payload, store=STORE, hasher=HASHER).events]
    again = [event.event_id for event in adapt(payload, store=STORE, hasher=HASHER).events]
    assert len(set(ids)) == 2
    assert ids == again


def test_an_events_own_time_comes_first() -> None:
    event = {"name": "page_view", "params": {}, "timestamp_micros": str((TIME_MS - 5) * 1000)}
    assert only(ga4_message(event)).timestamp == TIME_MS - 5


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (ga4_message({"name": "page_view"}, timestamp_micros=None), "bad_timestamp"),
        (ga4_message({"name": "page_view"}, client_id=None, user_id=None), "no_buyer_id"),
        (ga4_message({"name": "page_view"}, client_id=1.5, user_id=None), "invalid"),
        (ga4_message({"name": "user_engagement"}), "other_event"),
        (ga4_message({"name": "viewed_item"}), "unmapped_event"),
        (ga4_message({"name": "page_view"}, user_agent=CRAWLER), "bot"),
        (ga4_row("first_visit"), "other_event"),
        (ga4_row("page_view", event_timestamp=None), "bad_timestamp"),
        ({"client_id": "1"}, "invalid"),
        ("text", "invalid"),
    ],
)
def test_skipped(payload: Any, reason: str) -> None:
    adapted = adapt(payload, store=STORE, hasher=HASHER)
    assert adapted.events == []
    assert adapted.skipped == {reason: 1}


def test_an_app_is_a_device() -> None:
    payload = ga4_message({"name": "screen_view"}, client_id=None, app_instance_id="app-1")
    assert only(payload).buyer == HASHER.buyer(STORE, "app-1")
