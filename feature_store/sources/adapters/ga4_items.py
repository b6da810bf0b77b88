"""GA4's e-commerce parameters and items, alike in messages and rows -> contract fields."""

from __future__ import annotations

from typing import Final

from feature_store.contract.events import EventType
from feature_store.sources.adapters.common import Json, elements, get
from feature_store.sources.values.reader import Fields, Line, Reader

_CATEGORY_KEYS: Final = ("item_category", *(f"item_category{level}" for level in range(2, 6)))


def item_fields(read: Reader, kind: EventType, params: Json, items: Json, value: Json) -> Fields:
    """The fields of an event: params by name, a list of items, candidates for its value as a tuple."""
    if kind == "search":
        return {"query": read.text("query", get(params, "search_term"))}
    if kind in ("page_view", "sign_up", "login"):
        return {}
    lines = [_item_line(read, item, params) for item in elements(items) or ()]
    if kind == "list_view":  # the list's own category; its first item would be no product view
        shared = {item.fields["category"] for item in lines}
        only = shared.pop() if len(shared) == 1 else None
        return {"category": only or read.category(get(params, "item_list_name"))}
    return read.cart(lines, value=value, currency_code=get(params, "currency"))


def _item_line(read: Reader, item: Json, params: Json) -> Line:
    """An item has an id, a name or both."""
    path = [level for key in _CATEGORY_KEYS if (level := read.category(get(item, key))) is not None]
    return read.line(
        product_id=(get(item, "item_id"), get(item, "item_name")),
        category="/".join(path) or None,
        brand=get(item, "item_brand"),
        price=get(item, "price"),
        currency_code=(get(item, "currency"), get(params, "currency")),
        quantity=get(item, "quantity"),
    )
