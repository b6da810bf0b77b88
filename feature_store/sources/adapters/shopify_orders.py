"""Shopify's orders, checkouts and refunds -> Event: what a shop's server and Admin have, without a browser.

Webhooks and REST (orders/create, checkouts/create, refunds/create): snake case, amounts as text. GraphQL
(also the lines of a bulk export): camel case, amounts in money bags. The CSV of the Admin's orders page: one
row per line of an order, of which only the first has the totals. The buyer is the customer's number; guests
have none. The CSV has no number either: there the buyer is the SHA-256 of the e-mail in lower case.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from feature_store.contract.events import Event, EventType
from feature_store.contract.identity import Identity
from feature_store.sources.adapters.common import Json, build_event, elements, get, other_event, refuse_bot
from feature_store.sources.values.amounts import read_amount
from feature_store.sources.values.reader import Fields, Line, Reader

ORDER_SIGNS: Final = (
    frozenset({"admin_graphql_api_id", "line_items"}),
    frozenset({"cart_token", "line_items"}),
    frozenset({"order_id", "refund_line_items"}),
    frozenset({"createdAt", "lineItems"}),
    frozenset({"Financial Status", "Lineitem name"}),
)
_PARTS: Final = (
    "line_items",
    "refund_line_items",
    "lineItems",
    "totalPriceSet",
    "__parentId",
    "Lineitem name",
)
_CREATED: Final = ("created_at", "createdAt", "processed_at", "processedAt")
_CANCELLED: Final = ("cancelled_at", "cancelledAt", "Cancelled at")


def is_order(payload: Json) -> bool:
    """Whether a payload is an order, a checkout or a refund rather than an event of the pixel."""
    return isinstance(payload, dict) and "data" not in payload and any(part in payload for part in _PARTS)


def parts_of(order: Json) -> list[Json]:
    """The order, then what took money back: its cancellation, or else its refunds, each with its order."""
    if get(order, "test") is True:
        return [order]
    cancelled_at = next((at for name in _CANCELLED if (at := get(order, name))), None)
    if cancelled_at is not None:
        return [order, _TakenBack(order, cancelled_at, None, None, "cancelled")]
    return [order, *_refunds(order)]


class _TakenBack(NamedTuple):
    """Part of an order that no longer counts.

    amount None: all of it. id: what tells it from the other parts.
    """

    order: Json
    at: Json
    amount: float | None
    currency: Json
    id: Json


def _refunds(order: Json) -> list[_TakenBack]:
    """Refunds with money that went back; one without (a restock, a failed transaction) is none."""
    found = []
    if (in_csv := read_amount(get(order, "Refunded Amount"), ".", None).amount) is not None and in_csv > 0:
        found.append(_TakenBack(order, get(order, "Created at"), in_csv, None, "csv"))
    for refund in elements(get(order, "refunds")) or []:
        paid = [
            one
            for one in elements(get(refund, "transactions")) or []
            if get(one, "kind") == "refund" and get(one, "status") in (None, "success")
        ]
        amounts = [read_amount(get(one, "amount"), ".", None).amount or 0.0 for one in paid]
        total = get(refund, "totalRefundedSet", "shopMoney")
        if total is not None:
            amounts = [read_amount(get(total, "amount"), ".", None).amount or 0.0]
        if (amount := round(sum(amounts), 6)) > 0:
            code = get(total, "currencyCode") or next((get(one, "currency") for one in paid), None)
            at = get(refund, "created_at") or get(refund, "createdAt")
            found.append(_TakenBack(order, at, amount, code, _number(get(refund, "id"))))
    return found


def adapt_order(payload: Json, read: Reader, store: str, hasher: Identity) -> Event:
    """Adapt one of `parts_of`: order (purchase), checkout (begin_checkout), what was taken back (refund).

    A refund's own webhook, which names no customer, a test order and a line of a bulk export are no events.

    Raises:
        SkippedItemError: it is no event, or what is wrong.
    """
    if isinstance(payload, _TakenBack):
        return _refund(payload, read, store, hasher)
    if get(payload, "refund_line_items") is not None or get(payload, "__parentId") is not None:
        raise other_event()
    if get(payload, "test") is True:
        raise other_event()
    refuse_bot(get(payload, "client_details", "user_agent"))
    if get(payload, "Lineitem name") is not None:
        return _csv_order(payload, read, store, hasher)
    kind: EventType = "purchase"
    if get(payload, "lineItems") is None and _is_checkout(payload):
        kind = "begin_checkout"
    fields: Fields = {
        "type": kind,
        "timestamp": read.time(
            "created_at", next((at for name in _CREATED if (at := get(payload, name))), None)
        ),
        "event_id": read.identifier("event_id", get(payload, "token")) if kind == "begin_checkout" else None,
        **read.cart(
            [_line(read, item) for item in _items(payload)],
            value=(
                get(payload, "total_price"),
                get(payload, "totalPriceSet", "shopMoney", "amount"),
                get(payload, "currentTotalPriceSet", "shopMoney", "amount"),
            ),
            currency_code=(
                get(payload, "currency"),
                get(payload, "currencyCode"),
                get(payload, "totalPriceSet", "shopMoney", "currencyCode"),
            ),
        ),
    }
    return build_event(
        fields,
        read=read,
        store=store,
        buyers=_buyers(payload),
        identity=hasher,
        content=payload,
        order=read.identifier("order", *_order_names(payload)) if kind == "purchase" else None,
    )


def _refund(part: _TakenBack, read: Reader, store: str, hasher: Identity) -> Event:
    order = part.order
    code = (part.currency, get(order, "currency"), get(order, "currencyCode"), get(order, "Currency"))
    return build_event(
        {
            "type": "refund",
            "timestamp": read.time("the time of the refund", part.at),
            "value": part.amount,
            "currency": read.currency(*code),
        },
        read=read,
        store=store,
        buyers=_buyers(order),
        identity=hasher,
        content=[next(iter(_order_names(order)), None), part.id],
        order=read.identifier("order", *_order_names(order)),
    )


def _order_names(order: Json) -> list[Json]:
    named = (_number(get(order, "id")), get(order, "Id"), get(order, "Name"))
    return [name for name in named if name is not None]


def _buyers(order: Json) -> dict[str, Json]:
    """A shop's customer; `user_id` of an order is the employee who took it."""
    if get(order, "Lineitem name") is None:
        return {"customer.id": _number(get(order, "customer", "id"))}
    email = get(order, "Email")
    known = email.strip().lower() if isinstance(email, str) else ""
    return {"Email": hashlib.sha256(known.encode(errors="replace")).hexdigest() if "@" in known else None}


def _is_checkout(payload: Json) -> bool:
    """A checkout has no number yet; abandoned ones have the address to come back to."""
    numbered = ("order_number", "name", "financial_status", "admin_graphql_api_id")
    is_abandoned = get(payload, "abandoned_checkout_url") is not None
    return is_abandoned or all(get(payload, name) is None for name in numbered)


def _number(gid: Json) -> Json:
    """gid://shopify/Customer/7 is 7, as the webhooks and the pixel say it."""
    return (
        gid.rsplit("/", 1)[1].partition("?")[0] if isinstance(gid, str) and gid.startswith("gid://") else gid
    )


def _items(payload: Json) -> list[Json]:
    lines = get(payload, "lineItems")
    if isinstance(lines, dict) and (edges := elements(lines.get("edges"))) is not None:
        return [get(edge, "node") for edge in edges]
    if isinstance(lines, dict) and lines.get("nodes") is not None:
        lines = lines["nodes"]
    return elements(get(payload, "line_items") if lines is None else lines) or []


def _line(read: Reader, item: Json) -> Line:
    return read.line(
        product_id=tuple(
            _number(value)
            for value in (
                get(item, "product_id"),
                get(item, "product", "id"),
                get(item, "variant_id"),
                get(item, "variant", "id"),
                get(item, "sku"),
                get(item, "title") or get(item, "name"),
            )
        ),
        category=(get(item, "product_type"), get(item, "product", "productType")),
        brand=get(item, "vendor"),
        price=next(
            (
                price
                for price in (
                    get(item, "price"),
                    get(item, "originalUnitPriceSet", "shopMoney", "amount"),
                    get(item, "discountedUnitPriceSet", "shopMoney", "amount"),
                )
                if price is not None
            ),
            None,
        ),
        currency_code=get(item, "originalUnitPriceSet", "shopMoney", "currencyCode"),
        quantity=get(item, "quantity"),
    )


def _csv_order(row: Json, read: Reader, store: str, hasher: Identity) -> Event:
    if get(row, "Total") in (None, ""):  # a further line of the order above it
        raise other_event()
    line = read.line(
        product_id=(get(row, "Lineitem sku"), get(row, "Lineitem name")),
        category=None,
        brand=get(row, "Vendor"),
        price=get(row, "Lineitem price"),
        currency_code=get(row, "Currency"),
        quantity=get(row, "Lineitem quantity"),
    )
    fields: Fields = {
        "type": "purchase",
        "timestamp": read.time("Created at", get(row, "Created at")),
        **read.cart([line], value=get(row, "Total"), currency_code=get(row, "Currency")),
    }
    return build_event(
        fields,
        read=read,
        store=store,
        buyers=_buyers(row),
        identity=hasher,
        content=row,
        order=read.identifier("order", *_order_names(row)),
    )
