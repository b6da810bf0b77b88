from __future__ import annotations

from typing import Any

import pytest

from feature_store.contract.events import Event
from feature_store.sources.adapters.shopify import EVENT_TYPES, adapt
from tests.feature_store.sources.adapters.payloads import (
    CRAWLER,
    HASHER,
    STORE,
    TIME_MS,
    shopify,
    shopify_checkout,
    shopify_variant,
)

CART_LINE = {
    "cost": {"totalAmount": {"amount": 39.98, "currencyCode": "USD"}},
    "merchandise": shopify_variant(),
    "quantity": 2,
}
VARIANT_FIELDS = {
    "product_id": "p-17",
    "category": "Kitchen",
    "brand": "Acme",
    "price": 19.99,
    "currency": "USD",
}
CASES = [
    ("page_viewed", {}, {}),
    (
        "collection_viewed",
        {"collection": {"id": "c", "title": "Beds", "productVariants": []}},
        {"category": "Beds"},
    ),
    ("search_submitted", {"searchResult": {"query": "red mug", "productVariants": []}}, {"query": "red mug"}),
    ("product_viewed", {"productVariant": shopify_variant()}, VARIANT_FIELDS),
    ("product_added_to_cart", {"cartLine": CART_LINE}, VARIANT_FIELDS | {"quantity": 2, "value": 39.98}),
    ("product_removed_from_cart", {"cartLine": CART_LINE}, VARIANT_FIELDS | {"quantity": 2, "value": 39.98}),
    (
        "cart_viewed",
        {"cart": {"cost": {"totalAmount": {"amount": 39.98, "currencyCode": "USD"}}, "lines": [CART_LINE]}},
        VARIANT_FIELDS | {"quantity": 2, "value": 39.98},
    ),
    ("checkout_started", shopify_checkout(), {"product_id": "p-18", "price": 100.0, "value": 145.98}),
    ("payment_info_submitted", shopify_checkout(), {"product_id": "p-18", "value": 145.98}),
    ("checkout_completed", shopify_checkout(), {"product_id": "p-18", "quantity": 1, "value": 145.98}),
]


def only(payload: Any) -> Event:
    adapted = adapt(payload, store=STORE, hasher=HASHER)
    assert adapted.skipped == {}
    (event,) = adapted.events
    return event


@pytest.mark.parametrize(("name", "data", "expected"), CASES, ids=[case[0] for case in CASES])
def test_standard_event(name: str, data: Any, expected: dict[str, Any]) -> None:
    event = only(shopify(name, data))
    assert event.type == EVENT_TYPES[name]
    assert (event.store, event.buyer) == (STORE, HASHER.buyer(STORE, "client-1"))
    assert event.timestamp == TIME_MS
    assert {field: getattr(event, field) for field in expected} == expected


def test_every_mapped_event_is_tested() -> None:
    assert [case[0] for case in CASES] == list(EVENT_TYPES)


def test_the_vendors_id_names_the_event() -> None:
    assert only(shopify("page_viewed", {})).event_id == "sh-f7abe9c7-1234"


def test_an_order_sent_again_under_a_new_id_is_the_same_event() -> None:
    first = only(shopify("checkout_completed", shopify_checkout()))
    again = only(
        shopify("checkout_completed", shopify_checkout(), id="sh-other", timestamp="2025-02-23T09:00:00Z")
    )
    other = shopify_checkout()
    other["checkout"]["order"]["id"] = "order-2"
    assert first.event_id == again.event_id
    assert first.event_id != only(shopify("checkout_completed", other)).event_id


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "checkout_contact_info_submitted"}, "other_event"),
        ({"name": "page_viewed_v2"}, "unmapped_event"),
        ({"name": None}, "unmapped_event"),
        ({"clientId": None}, "no_buyer_id"),
        ({"clientId": "undefined"}, "no_buyer_id"),
        ({"timestamp": "yesterday"}, "bad_timestamp"),
        ({"timestamp": "2025-02-23T00:00:01"}, "bad_timestamp"),
        ({"timestamp": None}, "bad_timestamp"),
        ({"timestamp": "1905-01-01T00:00:00Z"}, "invalid"),
        ({"context": {"navigator": {"userAgent": CRAWLER}}}, "bot"),
    ],
)
def test_skipped(change: dict[str, Any], reason: str) -> None:
    adapted = adapt(shopify("page_viewed", {}) | change, store=STORE, hasher=HASHER)
    assert adapted.events == []
    assert adapted.skipped == {reason: 1}


def test_an_empty_cart_is_viewed() -> None:
    event = only(shopify("cart_viewed", {"cart": None}))
    assert (event.type, event.value, event.product_id) == ("view_cart", None, None)
