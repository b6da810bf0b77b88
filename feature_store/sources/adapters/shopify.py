"""Shopify Web Pixel standard events -> Event.

Shape: https://shopify.dev/docs/api/web-pixels-api/standard-events. A payload is one event: id, name,
timestamp (ISO 8601), clientId, context.navigator.userAgent, data. The buyer is clientId; product_id is the
product's id (not the variant's), category its type, brand its vendor. Orders of webhooks and of the Admin,
which have no clientId, are read by shopify_orders.
"""

from __future__ import annotations

from typing import Any, Final

from feature_store.contract.events import Event, EventType
from feature_store.contract.identity import Identity
from feature_store.sources.adapters.common import (
    Adapted,
    Json,
    adapt_items,
    build_event,
    decision,
    event_type,
    get,
    items_of,
    refuse_bot,
)
from feature_store.sources.adapters.consents import shopify_consent
from feature_store.sources.adapters.shopify_orders import ORDER_SIGNS, adapt_order, is_order, parts_of
from feature_store.sources.formats import register, vendor
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.reader import Fields, Line, Reader

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


def adapt(payload: Any, *, store: str, hasher: Identity, context: Context = NO_CONTEXT) -> Adapted:
    """Adapt one Web Pixel event or one order; never raises, whatever the payload is."""
    adapt_one, items = (adapt_order, parts_of(payload)) if is_order(payload) else (_adapt_one, [payload])
    return adapt_items(
        items,
        lambda item, read: adapt_one(item, read, store, hasher),
        context,
        lambda item, read: decision(shopify_consent(item), read, store, hasher, _buyers(item)),
    )


def _buyers(payload: Json) -> dict[str, Json]:
    return {"clientId": get(payload, "clientId")}


def _adapt_one(payload: Json, read: Reader, store: str, hasher: Identity) -> Event:
    kind = event_type(get(payload, "name"), EVENT_TYPES, OTHER_EVENTS)
    refuse_bot(get(payload, "context", "navigator", "userAgent"))
    data = get(payload, "data")
    fields: Fields = {
        "type": kind,
        "timestamp": read.time("timestamp", get(payload, "timestamp"), or_now=True),
        "event_id": read.identifier("event_id", get(payload, "id")),
        **_data_fields(read, kind, data),
    }
    return build_event(
        fields,
        read=read,
        store=store,
        buyers=_buyers(payload),
        identity=hasher,
        content=payload,
        order=_order(read, get(data, "checkout")) if kind == "purchase" else None,
    )


def _order(read: Reader, checkout: Json) -> str | None:
    """The order's id; a checkout becomes one order, so its token where the page knows no id yet."""
    return read.identifier("order", get(checkout, "order", "id"), get(checkout, "token"))


def _data_fields(read: Reader, kind: EventType, data: Json) -> Fields:
    if kind == "list_view":
        return {"category": read.category(get(data, "collection", "title"))}
    if kind == "search":
        return {"query": read.text("query", get(data, "searchResult", "query"))}
    if kind == "product_view":
        return read.cart([_variant_line(read, get(data, "productVariant"), quantity=None)])
    if kind in ("add_to_cart", "remove_from_cart"):
        cart_line = get(data, "cartLine")
        return _cart(read, [_cart_line(read, cart_line)], get(cart_line, "cost", "totalAmount"))
    if kind == "view_cart":
        lines = [_cart_line(read, item) for item in items_of(get(data, "cart", "lines"))]
        return _cart(read, lines, get(data, "cart", "cost", "totalAmount"))
    checkout = get(data, "checkout")
    lines = [
        _variant_line(read, get(item, "variant"), quantity=get(item, "quantity"))
        for item in items_of(get(checkout, "lineItems"))
    ]
    return _cart(read, lines, get(checkout, "totalPrice"))


def _cart(read: Reader, lines: list[Line], money: Json) -> Fields:
    return read.cart(lines, value=get(money, "amount"), currency_code=get(money, "currencyCode"))


def _cart_line(read: Reader, cart_line: Json) -> Line:
    return _variant_line(read, get(cart_line, "merchandise"), quantity=get(cart_line, "quantity"))


def _variant_line(read: Reader, variant: Json, *, quantity: Json) -> Line:
    return read.line(
        product_id=get(variant, "product", "id"),
        category=get(variant, "product", "type"),
        brand=get(variant, "product", "vendor"),
        price=get(variant, "price", "amount"),
        currency_code=get(variant, "price", "currencyCode"),
        quantity=quantity,
    )


register(
    vendor(
        "shopify",
        "Shopify: Web Pixel events, orders of webhooks and the Admin",
        adapt,
        signs=(frozenset({"clientId", "name", "data"}), *ORDER_SIGNS),
        names=EVENT_TYPES,
    )
)
