"""Payloads in the shape that each vendor documents, personal data included."""

from __future__ import annotations

from typing import Any

from feature_store.contract.identity import BuyerHasher

HASHER = BuyerHasher(b"0123456789abcdef")
STORE = "acme"
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/133.0.0.0 Safari/537.36"
)
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
TIME_TEXT = "2025-02-23T00:00:01.750Z"
TIME_MS = 1_740_268_801_750


def shopify(name: str, data: Any, **fields: Any) -> dict[str, Any]:
    return {
        "id": "sh-f7abe9c7-1234",
        "name": name,
        "timestamp": TIME_TEXT,
        "clientId": "client-1",
        "seq": 3,
        "type": "standard",
        "context": {
            "document": {"location": {"href": "https://acme.example/?email=ann@example.com"}, "title": "x"},
            "navigator": {"language": "en", "userAgent": BROWSER, "cookieEnabled": True},
            "window": {"innerWidth": 1024},
        },
        "data": data,
    } | fields


def shopify_variant(product: str = "p-17", amount: float = 19.99) -> dict[str, Any]:
    return {
        "id": "v-9",
        "sku": "SKU-9",
        "title": "Blue / M",
        "image": {"src": "//cdn.example/a.webp"},
        "price": {"amount": amount, "currencyCode": "usd"},
        "product": {
            "id": product,
            "title": "Mug",
            "type": "Kitchen",
            "vendor": "Acme",
            "url": "/products/mug",
        },
    }


def shopify_checkout() -> dict[str, Any]:
    return {
        "checkout": {
            "currencyCode": "USD",
            "email": "ann@example.com",
            "phone": "+4912345",
            "shippingAddress": {"firstName": "Ann", "address1": "1 High Street", "zip": "12345"},
            "token": "tok-1",
            "order": {"id": "order-1", "customer": {"id": "c-1"}},
            "subtotalPrice": {"amount": 139.98, "currencyCode": "USD"},
            "totalPrice": {"amount": 145.98, "currencyCode": "USD"},
            "lineItems": [
                {"id": "l1", "quantity": 2, "title": "Mug", "variant": shopify_variant("p-17", 19.99)},
                {"id": "l2", "quantity": 1, "title": "Lamp", "variant": shopify_variant("p-18", 100.0)},
            ],
        }
    }


def segment(event: str | None, properties: Any, **fields: Any) -> dict[str, Any]:
    message = {
        "type": "track",
        "event": event,
        "messageId": "ajs-next-1",
        "anonymousId": "anon-1",
        "userId": "user-1",
        "timestamp": TIME_TEXT,
        "sentAt": TIME_TEXT,
        "context": {"userAgent": BROWSER, "ip": "203.0.113.9", "page": {"url": "https://acme.example/"}},
        "properties": properties,
    }
    return message | fields


def segment_order() -> dict[str, Any]:
    return {
        "order_id": "order-1",
        "total": "145.98",
        "revenue": 139.98,
        "currency": "usd",
        "email": "ann@example.com",
        "products": [
            {"product_id": "p-17", "price": 19.99, "quantity": 2, "category": "Kitchen", "brand": "Acme"},
            {"product_id": "p-18", "price": "100.00", "quantity": 1, "category": "Light", "brand": "Lux"},
        ],
    }


GA4_ITEMS = [
    {
        "item_id": "p-17",
        "item_name": "Mug",
        "item_brand": "Acme",
        "item_category": "Home",
        "item_category2": "Kitchen",
        "price": 19.99,
        "quantity": 2,
    },
    {"item_id": "p-18", "item_brand": "Lux", "item_category": "Light", "price": 100, "quantity": 1},
]


def ga4_message(*events: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "client_id": "123.456",
        "user_id": "user-1",
        "timestamp_micros": TIME_MS * 1000 + 7,
        "ip_override": "203.0.113.9",
        "user_data": {"sha256_email_address": "abc"},
        "events": list(events),
    } | fields


def ga4_row(name: str, **fields: Any) -> dict[str, Any]:
    """A row of the BigQuery export as JSON: numbers are text there."""
    return {
        "event_date": "20250223",
        "event_timestamp": str(TIME_MS * 1000),
        "event_name": name,
        "event_params": [
            {"key": "ga_session_id", "value": {"string_value": None, "int_value": "1740268700"}},
            {
                "key": "page_location",
                "value": {"string_value": "https://acme.example/?email=ann@example.com"},
            },
        ],
        "user_pseudo_id": "123.456",
        "user_id": None,
        "event_bundle_sequence_id": "5",
        "device": {"category": "mobile"},
        "geo": {"city": "Berlin"},
        "ecommerce": {"transaction_id": "(not set)", "purchase_revenue": None},
        "items": [],
    } | fields
