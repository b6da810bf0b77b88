"""Segment Spec messages -> Event.

Shape: Segment's Spec (track, page, screen) and its ecommerce events, of V2 and of V1. A payload is one
message, or the HTTP API's {"batch": [messages], "context": {...}}. Bodies of /v1/track and the other
endpoints carry no type: their members tell it. Names of events and properties are taken in any case, with
blanks, "_" or "-" alike. The buyer is anonymousId, so that a shopper who signs in halfway stays one buyer,
and userId where there is none (a server's messages).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from feature_store.contract.events import Event, EventType
from feature_store.contract.identity import Identity
from feature_store.errors import UnmappedEventError
from feature_store.sources.adapters.common import (
    Adapted,
    Json,
    adapt_items,
    build_event,
    decision,
    elements,
    event_type,
    get,
    json_inside,
    refuse_bot,
    spelling,
    unmapped,
)
from feature_store.sources.adapters.consents import segment_consent
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
    "Order Refunded": "refund",
    "Order Cancelled": "refund",
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
_V1_NAMES: Final[dict[str, EventType]] = {
    "Viewed Product Category": "list_view",
    "Viewed Product List": "list_view",
    "Searched Products": "search",
    "Viewed Product": "product_view",
    "Added Product": "add_to_cart",
    "Removed Product": "remove_from_cart",
    "Viewed Cart": "view_cart",
    "Started Order": "begin_checkout",
    "Completed Order": "purchase",
}
"""Names of the Spec's first version, which many senders kept."""
_TYPES: Final = {spelling(name): kind for name, kind in (EVENT_TYPES | _V1_NAMES).items()}
_OTHERS: Final = frozenset(map(spelling, OTHER_EVENTS))
_OTHER_CALLS: Final = frozenset({"identify", "group", "alias"})
_CALL_TYPES: Final[dict[str, EventType]] = {"page": "page_view", "screen": "page_view"}
_CALL_OF: Final = (
    (("event",), "track"),
    (("traits",), "identify"),
    (("groupId",), "group"),
    (("previousId",), "alias"),
    (("properties", "url"), "page"),
    (("properties", "path"), "page"),
    (("name",), "screen"),
)
"""What only the bodies of one endpoint have, which carry no type: /v1/track, /v1/identify and so on."""
_TOTALS: Final = ("total", "revenue", "value")
"""The order's total; `revenue` (without shipping and tax) or `value` where a sender leaves it out."""
_ONE_PRODUCT: Final = frozenset({"product_view", "add_to_cart", "remove_from_cart"})


def adapt(payload: Any, *, store: str, hasher: Identity, context: Context = NO_CONTEXT) -> Adapted:
    """Adapt one message or batch; never raises, whatever the payload is."""
    batch = get(payload, "batch")
    agent, sent_at = get(payload, "context", "userAgent"), get(payload, "sentAt")
    messages = batch if isinstance(batch, list) else [payload]
    return adapt_items(
        messages,
        lambda item, read: _adapt_one(item, read, agent, sent_at, store, hasher),
        context,
        lambda item, read: decision(segment_consent(item, payload), read, store, hasher, _buyers(item)),
    )


def _buyers(message: Json) -> dict[str, Json]:
    return {name: get(message, name) for name in ("anonymousId", "userId")}


def _adapt_one(
    message: Json, read: Reader, batch_agent: Json, sent_at: Json, store: str, hasher: Identity
) -> Event:
    kind = _kind(message)
    refuse_bot(get(message, "context", "userAgent") or batch_agent)
    properties = _Properties(get(message, "properties"))
    fields: Fields = {
        "type": kind,
        "timestamp": _time(read, message, sent_at),
        "event_id": read.identifier("event_id", get(message, "messageId")),
        **_property_fields(read, kind, properties),
    }
    return build_event(
        fields,
        read=read,
        store=store,
        buyers=_buyers(message),
        identity=hasher,
        content=message,
        order=read.identifier("order", properties["order_id"]) if kind in ("purchase", "refund") else None,
    )


def _time(read: Reader, message: Json, batch_sent_at: Json) -> int:
    """Segment's rule: receivedAt - (sentAt - originalTimestamp).

    Who has written `timestamp` beside receivedAt or originalTimestamp has applied it. A message that comes
    straight from a device has its clock in `timestamp`, or in `originalTimestamp` alone.
    """
    stamped, original = get(message, "timestamp"), get(message, "originalTimestamp")
    received_at = get(message, "receivedAt")
    if stamped is not None and (original is not None or received_at is not None):
        return read.time("timestamp", stamped)
    return read.device_time(
        "timestamp" if original is None else "originalTimestamp",
        stamped if original is None else original,
        sent_at=get(message, "sentAt") or batch_sent_at,
        received_at=received_at,
    )


def _kind(message: Json) -> EventType:
    call = get(message, "type")
    if call is None:
        call = next((its for path, its in _CALL_OF if get(message, *path) is not None), None)
    if call != "track":
        return event_type(call, _CALL_TYPES, _OTHER_CALLS)
    name = get(message, "event")
    try:
        return event_type(spelling(name) if isinstance(name, str) else name, _TYPES, _OTHERS)
    except UnmappedEventError:
        raise unmapped(name) from None


class _Properties:
    """Properties by name; a name that is not there is looked for in any spelling (orderId, Order ID)."""

    def __init__(self, sent: Json) -> None:
        self._sent = sent if isinstance(sent, dict) else {}

    def __getitem__(self, name: str) -> Json:
        value = self._sent.get(name)
        return self._spelt.get(spelling(name)) if value is None else value

    @cached_property
    def _spelt(self) -> dict[str, Json]:
        return {spelling(name): value for name, value in self._sent.items() if isinstance(name, str)}


def _property_fields(read: Reader, kind: EventType, properties: _Properties) -> Fields:
    if kind == "list_view":
        return {"category": read.category(properties["category"])}
    if kind == "search":
        return {"query": read.text("query", properties["query"])}
    if kind in _ONE_PRODUCT:
        return read.cart(
            [_product_line(read, properties, properties)],
            value=properties["value"],
            currency_code=properties["currency"],
        )
    if kind in ("view_cart", "begin_checkout", "add_payment_info", "purchase", "refund"):
        products = elements(json_inside(properties["products"])) or []
        return read.cart(
            [_product_line(read, _Properties(product), properties) for product in products],
            value=tuple(properties[name] for name in _TOTALS),
            currency_code=properties["currency"],
        )
    return {}


def _product_line(read: Reader, product: _Properties, properties: _Properties) -> Line:
    return read.line(
        product_id=tuple(product[name] for name in ("product_id", "id", "sku", "name")),
        category=product["category"],
        brand=product["brand"],
        price=product["price"],
        currency_code=(product["currency"], properties["currency"]),
        quantity=product["quantity"],
    )


register(
    vendor(
        "segment",
        "Segment's Spec: messages and batches of them",
        adapt,
        items="batch",
        names=(*EVENT_TYPES, *_V1_NAMES),
        signs=(
            frozenset({"batch"}),
            *(
                frozenset({who, what})
                for who in ("anonymousId", "userId")
                for what in ("type", "event", "properties")
            ),
        ),
    )
)
