from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from feature_store.contract.events import Event
from feature_store.sources.adapters.segment import EVENT_TYPES, adapt
from feature_store.sources.values.notes import Note, Reason
from tests.feature_store.sources.adapters.payloads import (
    CRAWLER,
    HASHER,
    STORE,
    TIME_MS,
    TIME_TEXT,
    segment,
    segment_order,
)

PRODUCT = {
    "product_id": "p-17",
    "sku": "SKU",
    "category": "Kitchen",
    "brand": "Acme",
    "price": "19.99",
    "quantity": "2",
    "currency": "usd",
    "value": 39.98,
}
PRODUCT_FIELDS = {
    "product_id": "p-17",
    "category": "Kitchen",
    "brand": "Acme",
    "price": 19.99,
    "quantity": 2,
    "currency": "USD",
    "value": 39.98,
}
ORDER_FIELDS = {"product_id": "p-18", "price": 100.0, "quantity": 1, "currency": "USD", "value": 145.98}
CASES = [
    (
        "Product List Viewed",
        {"list_id": "l", "category": "Deals", "products": [PRODUCT]},
        {"category": "Deals"},
    ),
    ("Products Searched", {"query": "blue roses"}, {"query": "blue roses"}),
    ("Product Viewed", PRODUCT, PRODUCT_FIELDS),
    ("Product Added", PRODUCT, PRODUCT_FIELDS),
    ("Product Removed", PRODUCT, PRODUCT_FIELDS),
    ("Cart Viewed", {"cart_id": "c", "products": [PRODUCT]}, {"product_id": "p-17"}),
    ("Checkout Started", segment_order(), ORDER_FIELDS),
    ("Payment Info Entered", {"order_id": "o", "payment_method": "visa"}, {"product_id": None}),
    ("Order Completed", segment_order(), ORDER_FIELDS),
    ("Order Refunded", segment_order(), ORDER_FIELDS),
    ("Order Cancelled", {"order_id": "o"}, {"value": None, "type": "refund"}),
    ("Signed Up", {"email": "ann@example.com"}, {}),
    ("Signed In", {"username": "ann"}, {}),
]


def only(payload: Any) -> Event:
    adapted = adapt(payload, store=STORE, hasher=HASHER)
    assert adapted.skipped == {}
    (event,) = adapted.events
    return event


@pytest.mark.parametrize(("name", "properties", "expected"), CASES, ids=[case[0] for case in CASES])
def test_spec_event(name: str, properties: Any, expected: dict[str, Any]) -> None:
    event = only(segment(name, properties))
    assert event.type == EVENT_TYPES[name]
    assert event.buyer == HASHER.buyer(STORE, "anon-1")
    assert event.timestamp == TIME_MS
    assert {field: getattr(event, field) for field in expected} == expected


def test_every_mapped_event_is_tested() -> None:
    assert [case[0] for case in CASES] == list(EVENT_TYPES)


@pytest.mark.parametrize("call", ["page", "screen"])
def test_page_and_screen_calls_are_page_views(call: str) -> None:
    assert only(segment(None, {"name": "Home"}, type=call)).type == "page_view"


@pytest.mark.parametrize(
    ("call", "event", "reason"),
    [
        *((call, None, "other_event") for call in ("identify", "group", "alias")),
        *((call, None, "unmapped_event") for call in ("", None, 3, ["track"])),
        ("track", "Product Clicked", "other_event"),
        ("track", "product_clicked", "other_event"),
    ],
)
def test_other_calls_are_no_events(call: Any, event: Any, reason: str) -> None:
    adapted = adapt(segment(event, {}, type=call), store=STORE, hasher=HASHER)
    assert adapted.skipped == {reason: 1}


def test_a_servers_message_without_device_belongs_to_the_user() -> None:
    assert only(segment("Signed In", {}, anonymousId=None)).buyer == HASHER.buyer(STORE, "user-1")


def test_a_message_of_nobody_is_skipped() -> None:
    adapted = adapt(segment("Signed In", {}, anonymousId=" ", userId=None), store=STORE, hasher=HASHER)
    assert adapted.skipped == {"no_buyer_id": 1}


def test_revenue_stands_in_for_a_missing_total() -> None:
    order = segment_order()
    del order["total"]
    assert only(segment("Order Completed", order)).value == 139.98


def test_an_order_is_named_by_buyer_and_order_id() -> None:
    def name(**fields: Any) -> str:
        return only(segment("Order Completed", segment_order(), **fields)).event_id

    assert name(messageId="m1") == name(messageId="m2", timestamp="2025-03-01T00:00:00Z")
    assert name() != name(anonymousId="someone else")


def test_a_batch_loses_only_its_bad_messages() -> None:
    good, bad = segment("Signed In", {}, messageId="m1"), segment("Signed In", {}, timestamp="?")
    priced = segment("Product Viewed", {"price": "cheap"}, messageId="m2")
    batch = {"batch": [good, bad, "text", priced], "sentAt": TIME_TEXT}
    adapted = adapt(batch, store=STORE, hasher=HASHER)
    assert [event.event_id for event in adapted.events] == ["m1", "m2"]
    assert adapted.skipped == {"bad_timestamp": 1, "unmapped_event": 1}
    assert len(adapted.details) == 1
    assert adapted.notes == [Note("emptied", "price", Reason.NOT_A_NUMBER, "aaaaa")]


def test_the_context_of_a_batch_names_the_bot() -> None:
    message = segment("Signed In", {}, context={})
    adapted = adapt({"batch": [message], "context": {"userAgent": CRAWLER}}, store=STORE, hasher=HASHER)
    assert adapted.skipped == {"bot": 1}


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"timestamp": "2026-11-20T10:00:00Z"}, "2026-11-20T10:00:00Z"),
        (
            {"originalTimestamp": "2026-11-20T10:00:00Z", "sentAt": "2026-11-20T10:00:01Z"},
            "2026-11-20T10:00:00Z",
        ),
        (
            {
                "originalTimestamp": "2026-11-20T13:00:00Z",
                "sentAt": "2026-11-20T13:00:02Z",
                "receivedAt": "2026-11-20T10:00:03Z",
            },
            "2026-11-20T10:00:01Z",
        ),
        (
            {
                "timestamp": "2026-11-20T10:00:01Z",  # which Segment has set right already
                "originalTimestamp": "2026-11-20T13:00:00Z",
                "sentAt": "2026-11-20T13:00:02Z",
                "receivedAt": "2026-11-20T10:00:03Z",
            },
            "2026-11-20T10:00:01Z",
        ),
        (
            {
                "originalTimestamp": "2026-11-20T13:00:00Z",
                "sentAt": "2026-11-20T12:00:00Z",  # sent before it happened
                "receivedAt": "2026-11-20T10:00:03Z",
            },
            "2026-11-20T10:00:03Z",
        ),
        ({"receivedAt": "2026-11-20T10:00:03Z"}, "2026-11-20T10:00:03Z"),
        ({"originalTimestamp": "2026-11-20T10:00:00Z", "sentAt": "soon"}, "2026-11-20T10:00:00Z"),
    ],
)
def test_the_clock_of_a_device_is_set_right_by_what_it_showed_when_it_sent(
    times: dict[str, str], expected: str
) -> None:
    message = {key: value for key, value in segment("Signed In", {}).items() if key != "timestamp"}
    (event,) = adapt({**message, **times}, store=STORE, hasher=HASHER).events
    assert event.timestamp == datetime.fromisoformat(expected).timestamp() * 1000


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("product_viewed", "product_view"),
        ("PRODUCT ADDED", "add_to_cart"),
        ("orderCompleted", "purchase"),
        ("Viewed Product", "product_view"),
        ("viewed_product_category", "list_view"),
        ("Completed-Order", "purchase"),
    ],
)
def test_names_of_both_versions_in_any_spelling(name: str, kind: str) -> None:
    assert only(segment(name, {})).type == kind


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"event": "Product Viewed", "properties": {}}, "product_view"),
        ({"name": "Home", "properties": {"url": "https://acme.example/", "path": "/"}}, "page_view"),
        ({"properties": {"path": "/"}}, "page_view"),
        ({"name": "Cart"}, "page_view"),
        ({"traits": {"name": "Ann"}}, "other_event"),
        ({"groupId": "g", "traits": {}}, "other_event"),
        ({"previousId": "p"}, "other_event"),
        ({}, "unmapped_event"),
    ],
)
def test_bodies_of_the_endpoints_carry_no_type(body: dict[str, Any], outcome: str) -> None:
    sent = {"anonymousId": "a", "messageId": "m", "timestamp": TIME_TEXT, **body}
    adapted = adapt(sent, store=STORE, hasher=HASHER)
    assert [*(event.type for event in adapted.events), *adapted.skipped] == [outcome]


@pytest.mark.parametrize(
    ("product", "product_id"),
    [
        ({"product_id": "p", "id": "i", "sku": "s", "name": "n"}, "p"),
        ({"product_id": "undefined", "id": "", "sku": "s", "name": "n"}, "s"),
        ({"id": 5, "sku": "s"}, "5"),
        ({"productId": "camel"}, "camel"),
        ({"Product ID": "words"}, "words"),
        ({"name": "n"}, "n"),
    ],
)
def test_a_product_has_an_id_or_something_that_stands_for_it(
    product: dict[str, Any], product_id: str
) -> None:
    assert only(segment("Product Viewed", product)).product_id == product_id
    order = only(segment("Order Completed", {"products": [product]}))
    assert order.product_id == product_id


@pytest.mark.parametrize(
    "products", [{"0": PRODUCT, "2": {}}, PRODUCT, f"[{msgspec.json.encode(PRODUCT).decode()}]"]
)
def test_products_as_an_object_or_as_text(products: Any) -> None:
    order = only(segment("Order Completed", {"orderId": "o", "Total": 39.98, "products": products}))
    assert (order.product_id, order.quantity, order.value) == ("p-17", 2, 39.98)
    assert order.event_id == only(segment("Order Completed", {"order_id": "o"}, messageId="other")).event_id
