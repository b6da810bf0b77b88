"""Shopify's orders as webhooks, the Admin's GraphQL and the Admin's CSV give them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from feature_store.contract.events import Event, encode_event
from feature_store.contract.identity import PlainIds
from feature_store.sources.adapters.shopify import adapt
from tests.feature_store.sources.adapters.payloads import BROWSER, CRAWLER

TIME_MS = 1_795_168_800_000
WEBHOOK = {
    "id": 820982911946154508,
    "admin_graphql_api_id": "gid://shopify/Order/820982911946154508",
    "cancelled_at": None,
    "cart_token": "c1",
    "client_details": {"browser_ip": "203.0.113.9", "user_agent": BROWSER},
    "created_at": "2026-11-20T05:00:00-05:00",
    "currency": "USD",
    "customer": {"id": 115310627314723954, "email": "ann@example.com", "first_name": "Ann"},
    "email": "ann@example.com",
    "financial_status": "paid",
    "line_items": [
        {"id": 1, "product_id": 788, "price": "199.00", "quantity": 1, "sku": "A", "vendor": "Acme"},
        {"id": 2, "product_id": None, "price": "5.00", "quantity": 1, "title": "Tip"},
    ],
    "name": "#9999",
    "order_number": 9999,
    "test": False,
    "total_price": "204.00",
}
GRAPHQL = {
    "id": "gid://shopify/Order/820982911946154508",
    "name": "#9999",
    "createdAt": "2026-11-20T10:00:00Z",
    "currencyCode": "USD",
    "totalPriceSet": {"shopMoney": {"amount": "204.0", "currencyCode": "USD"}},
    "customer": {"id": "gid://shopify/Customer/115310627314723954"},
    "lineItems": {
        "edges": [
            {
                "node": {
                    "quantity": 1,
                    "sku": "A",
                    "vendor": "Acme",
                    "product": {"id": "gid://shopify/Product/788"},
                    "originalUnitPriceSet": {"shopMoney": {"amount": "199.0", "currencyCode": "USD"}},
                }
            }
        ]
    },
}
CHECKOUT = {
    "id": 981820079255243537,
    "token": "123123123",
    "cart_token": "eeafa272cebfd4b22385bc4b645e762c",
    "created_at": "2026-11-20T05:00:00-05:00",
    "currency": "USD",
    "customer": {"id": 7},
    "abandoned_checkout_url": "https://shop.example/recover?email=ann@example.com",
    "total_price": "199.00",
    "line_items": [{"product_id": 788, "price": "199.00", "quantity": 1}],
}
CSV = {
    "Name": "#1001",
    "Email": " Ann@Example.com",
    "Financial Status": "paid",
    "Currency": "EUR",
    "Total": "25.50",
    "Created at": "2026-11-20 11:00:00 +0100",
    "Lineitem quantity": "2",
    "Lineitem name": "Mug",
    "Lineitem price": "10.25",
    "Lineitem sku": "M-1",
    "Cancelled at": "",
    "Vendor": "Acme",
    "Id": "5001",
    "Billing Name": "Ann",
}


def only(order: Any) -> Event:
    adapted = adapt(order, store="acme", hasher=PlainIds())
    assert adapted.skipped == {}
    (event,) = adapted.events
    return event


@pytest.mark.parametrize("order", [WEBHOOK, GRAPHQL], ids=["webhook", "graphql"])
def test_an_order_is_a_purchase_of_its_customer(order: dict[str, Any]) -> None:
    event = only(order)
    assert (event.type, event.buyer, event.timestamp) == ("purchase", "115310627314723954", TIME_MS)
    assert (event.product_id, event.price, event.brand) == ("788", 199.0, "Acme")
    assert (event.value, event.currency) == (204.0, "USD")
    assert event.event_id == only(WEBHOOK).event_id


def test_nodes_without_edges() -> None:
    nodes = [edge["node"] for edge in GRAPHQL["lineItems"]["edges"]]  # type: ignore[index]
    assert only(GRAPHQL | {"lineItems": {"nodes": nodes}}).product_id == "788"


def test_a_checkout_is_begun() -> None:
    event = only(CHECKOUT)
    assert (event.type, event.buyer, event.event_id) == ("begin_checkout", "7", "123123123")
    assert (event.product_id, event.value) == ("788", 199.0)


def test_the_csv_names_buyers_by_a_hash_of_the_address() -> None:
    event = only(CSV)
    assert event.buyer == hashlib.sha256(b"ann@example.com").hexdigest()
    assert (event.type, event.timestamp) == ("purchase", TIME_MS)
    assert (event.product_id, event.quantity, event.price) == ("M-1", 2, 10.25)
    assert (event.value, event.currency) == (25.5, "EUR")


@pytest.mark.parametrize("order", [WEBHOOK, GRAPHQL, CHECKOUT, CSV])
def test_nothing_private_leaves(order: dict[str, Any]) -> None:
    sent = encode_event(only(order))
    assert not [word for word in (b"xample", b"Ann", b"203.0.113") if word in sent]


REFUND = {
    "id": 509562969,
    "created_at": "2026-11-22T10:00:00Z",
    "transactions": [
        {"kind": "refund", "status": "success", "amount": "1,041.94", "currency": "USD"},
        {"kind": "refund", "status": "failure", "amount": "999.00", "currency": "USD"},
    ],
}


@pytest.mark.parametrize(
    ("order", "value", "time_ms"),
    [
        (WEBHOOK | {"cancelled_at": "2026-11-21T00:00:00Z"}, None, 1_795_219_200_000),
        (WEBHOOK | {"refunds": [REFUND]}, 1041.94, 1_795_341_600_000),
        (
            GRAPHQL
            | {
                "refunds": [
                    {
                        "id": "gid://shopify/Refund/5",
                        "createdAt": "2026-11-22T10:00:00Z",
                        "totalRefundedSet": {"shopMoney": {"amount": "5.5", "currencyCode": "USD"}},
                    }
                ]
            },
            5.5,
            1_795_341_600_000,
        ),
        (CSV | {"Cancelled at": "2026-11-20 12:00:00 +0100"}, None, TIME_MS + 3_600_000),
        (CSV | {"Refunded Amount": "5.00"}, 5.0, TIME_MS),
    ],
    ids=["cancelled", "refunded", "graphql", "csv cancelled", "csv refunded"],
)
def test_what_was_taken_back_is_a_refund_of_its_order(
    order: dict[str, Any], value: float | None, time_ms: int
) -> None:
    purchase, refund = adapt(order, store="acme", hasher=PlainIds()).events
    assert (purchase.type, refund.type) == ("purchase", "refund")
    assert (refund.buyer, refund.order) == (purchase.buyer, purchase.order)
    assert (refund.value, refund.timestamp, refund.currency) == (value, time_ms, purchase.currency)
    assert adapt(order, store="acme", hasher=PlainIds()).events[1].event_id == refund.event_id


def test_a_refund_without_money_is_none() -> None:
    for refund in (
        REFUND | {"transactions": []},
        REFUND | {"transactions": [{"kind": "void", "amount": "5"}]},
    ):
        assert only(WEBHOOK | {"refunds": [refund]}).type == "purchase"


def test_the_employee_who_took_an_order_is_no_buyer() -> None:
    adapted = adapt(WEBHOOK | {"customer": None, "user_id": 8}, store="acme", hasher=PlainIds())
    assert adapted.skipped == {"no_buyer_id": 1}


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (WEBHOOK | {"customer": None}, "no_buyer_id"),
        (WEBHOOK | {"test": True}, "other_event"),
        (WEBHOOK | {"client_details": {"user_agent": CRAWLER}}, "bot"),
        (
            {"id": 5, "order_id": 7, "refund_line_items": [], "created_at": "2026-11-20T10:00:00Z"},
            "other_event",
        ),
        ({"id": "gid://shopify/LineItem/1", "quantity": 1, "__parentId": GRAPHQL["id"]}, "other_event"),
        (CSV | {"Total": ""}, "other_event"),
        (CSV | {"Email": ""}, "no_buyer_id"),
        (WEBHOOK | {"created_at": None}, "bad_timestamp"),
    ],
)
def test_what_is_no_event(order: dict[str, Any], reason: str) -> None:
    assert adapt(order, store="acme", hasher=PlainIds()).skipped == {reason: 1}
