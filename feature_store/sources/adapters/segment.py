"""Segment Spec messages -> Event.

Shape: Segment's Spec (track, page, screen) and its V2 ecommerce events. A payload is one message, or the
HTTP API's {"batch": [messages], "context": {...}}. The buyer is anonymousId, so that a shopper who signs in
halfway stays one buyer, and userId where there is none (a server's messages).
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
    event_type,
    get,
    items_of,
    refuse_bot,
)
from feature_store.sources.formats import register, vendor
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.reader import Fields, Line, Reader

EVENT_TYPES: Final[dict[str, EventType]] = {
    "Product List Viewed": "list_view",
    "Products Searched": "search",
    "Product Viewed": "product_view",
    "Product Added": "add_to_cart",
    "Product Removed": "remove_from_cart",
    "Cart Viewed": "view_cart",
    "Checkout Started": "begin_checkout",
    "Payment Info Entered": "add_payment_info",
    "Order Completed": "purchase",
    "Signed Up": "sign_up",
    "Signed In": "login",
}
OTHER_EVENTS: Final = frozenset(
    {
        "Cart Shared",
        "Checkout Step Completed",
        "Checkout Step Viewed",
        "Coupon Applied",
        "Coupon Denied",
        "Coupon Entered",
        "Coupon Removed",
        "Order Cancelled",
        "Order Refunded",
        "Order Updated",
        "Product Added to Wishlist",
        "Product Clicked",
        "Product List Filtered",
        "Product Removed from Wishlist",
        "Product Reviewed",
        "Product Shared",
        "Promotion Clicked",
        "Promotion Viewed",
        "Signed Out",
        "Wishlist Product Added to Cart",
    }
)
"""Events of the Spec that mean nothing here."""
_OTHER_CALLS: Final = frozenset({"identify", "group", "alias"})
_CALL_TYPES: Final[dict[str, EventType]] = {"page": "page_view", "screen": "page_view"}
_TOTALS: Final = ("total", "revenue", "value")
"""The order's total; `revenue` (without shipping and tax) or `value` where a sender leaves it out."""
_ONE_PRODUCT: Final = frozenset({"product_view", "add_to_cart", "remove_from_cart"})


def adapt(payload: Any, *, store: str, hasher: Identity, context: Context = NO_CONTEXT) -> Adapted:
    """Adapt one message or batch; never raises, whatever the payload is."""
    batch = get(payload, "batch")
    agent = get(payload, "context", "userAgent")
    messages = batch if isinstance(batch, list) else [payload]
    return adapt_items(messages, lambda item, read: _adapt_one(item, read, agent, store, hasher), context)


def _adapt_one(message: Json, read: Reader, batch_agent: Json, store: str, hasher: Identity) -> Event:
    call = get(message, "type")
    if call == "track":
        kind = event_type(get(message, "event"), EVENT_TYPES, OTHER_EVENTS)
    else:
        kind = event_type(call, _CALL_TYPES, _OTHER_CALLS)
    refuse_bot(get(message, "context", "userAgent") or batch_agent)
    properties = get(message, "properties")
    fields: Fields = {
        "type": kind,
        "timestamp": read.time("timestamp", get(message, "timestamp")),
        "event_id": read.identifier("event_id", get(message, "messageId")),
        **_property_fields(read, kind, properties),
    }
    return build_event(
        fields,
        read=read,
        store=store,
        buyers={name: get(message, name) for name in ("anonymousId", "userId")},
        identity=hasher,
        content=message,
        order=read.identifier("order", get(properties, "order_id")) if kind == "purchase" else None,
    )


def _property_fields(read: Reader, kind: EventType, properties: Json) -> Fields:
    if kind == "list_view":
        return {"category": read.category(get(properties, "category"))}
    if kind == "search":
        return {"query": read.text("query", get(properties, "query"))}
    if kind in _ONE_PRODUCT:
        return read.cart(
            [_product_line(read, properties, properties)],
            value=get(properties, "value"),
            currency_code=get(properties, "currency"),
        )
    if kind in ("view_cart", "begin_checkout", "add_payment_info", "purchase"):
        lines = [_product_line(read, item, properties) for item in items_of(get(properties, "products"))]
        return read.cart(
            lines,
            value=tuple(get(properties, name) for name in _TOTALS),
            currency_code=get(properties, "currency"),
        )
    return {}


def _product_line(read: Reader, product: Json, properties: Json) -> Line:
    return read.line(
        product_id=(get(product, "product_id"), get(product, "sku")),
        category=get(product, "category"),
        brand=get(product, "brand"),
        price=get(product, "price"),
        currency_code=(get(product, "currency"), get(properties, "currency")),
        quantity=get(product, "quantity"),
    )


register(vendor("segment", "Segment's Spec: messages and batches of them", adapt, items="batch"))
