"""Shopify Web Pixel standard events -> Event.

Shape: https://shopify.dev/docs/api/web-pixels-api/standard-events. A payload is one event: id, name,
timestamp (ISO 8601), clientId, context.navigator.userAgent, data. The buyer is clientId; product_id is the
product's id (not the variant's), category its type, brand its vendor.
"""

from __future__ import annotations

from typing import Any, Final

from feature_store.contract.events import Event, EventType
from feature_store.contract.identity import Identity
from feature_store.sources.adapters.common import (
    Adapted,
    Fields,
    Json,
    Line,
    adapt_items,
    build_event,
    currency,
    event_type,
    get,
    identifier,
    items_of,
    line,
    most_valuable,
    number,
    refuse_bot,
    text,
    time_ms,
)
from feature_store.sources.formats import register, vendor

EVENT_TYPES: Final[dict[str, EventType]] = {
    "page_viewed": "page_view",
    "collection_viewed": "list_view",
    "search_submitted": "search",
    "product_viewed": "product_view",
    "product_added_to_cart": "add_to_cart",
    "product_removed_from_cart": "remove_from_cart",
    "cart_viewed": "view_cart",
    "checkout_started": "begin_checkout",
    "payment_info_submitted": "add_payment_info",
    "checkout_completed": "purchase",
}
OTHER_EVENTS: Final = frozenset(
    {
        "alert_displayed",
        "checkout_address_info_submitted",
        "checkout_contact_info_submitted",
        "checkout_shipping_info_submitted",
        "clicked",
        "form_submitted",
        "input_blurred",
        "input_changed",
        "input_focused",
        "ui_extension_errored",
    }
)
"""Standard events that mean nothing here."""


def adapt(payload: Any, *, store: str, hasher: Identity) -> Adapted:
    """Adapt one Web Pixel event; never raises, whatever the payload is."""
    return adapt_items([payload], lambda item: _adapt_one(item, store, hasher))


def _adapt_one(payload: Json, store: str, hasher: Identity) -> Event:
    kind = event_type(get(payload, "name"), EVENT_TYPES, OTHER_EVENTS)
    refuse_bot(get(payload, "context", "navigator", "userAgent"))
    data = get(payload, "data")
    fields: Fields = {
        "type": kind,
        "timestamp": time_ms(get(payload, "timestamp")),
        "event_id": identifier(get(payload, "id")),
        **_data_fields(kind, data),
    }
    return build_event(
        fields,
        store=store,
        raw_buyer=get(payload, "clientId"),
        identity=hasher,
        content=payload,
        order=identifier(get(data, "checkout", "order", "id")) if kind == "purchase" else None,
    )


def _data_fields(kind: EventType, data: Json) -> Fields:
    if kind == "list_view":
        return {"category": text(get(data, "collection", "title"))}
    if kind == "search":
        return {"query": text(get(data, "searchResult", "query"))}
    if kind == "product_view":
        return _variant_line(get(data, "productVariant"), quantity=None).fields
    if kind in ("add_to_cart", "remove_from_cart"):
        cart_line = get(data, "cartLine")
        return {**_cart_line(cart_line).fields, **_total(get(cart_line, "cost", "totalAmount"))}
    if kind == "view_cart":
        lines = [_cart_line(item) for item in items_of(get(data, "cart", "lines"))]
        return {**most_valuable(lines), **_total(get(data, "cart", "cost", "totalAmount"))}
    checkout = get(data, "checkout")
    lines = [
        _variant_line(get(item, "variant"), quantity=get(item, "quantity"))
        for item in items_of(get(checkout, "lineItems"))
    ]
    return {**most_valuable(lines), **_total(get(checkout, "totalPrice"))}


def _cart_line(cart_line: Json) -> Line:
    return _variant_line(get(cart_line, "merchandise"), quantity=get(cart_line, "quantity"))


def _variant_line(variant: Json, *, quantity: Json) -> Line:
    return line(
        product_id=get(variant, "product", "id"),
        category=get(variant, "product", "type"),
        brand=get(variant, "product", "vendor"),
        price=get(variant, "price", "amount"),
        currency_code=get(variant, "price", "currencyCode"),
        quantity=quantity,
    )


def _total(money: Json) -> Fields:
    total: Fields = {"value": number(get(money, "amount"))}
    code = currency(get(money, "currencyCode"))
    return total if code is None else {**total, "currency": code}


register(vendor("shopify", "Shopify Web Pixel: standard events", adapt))
