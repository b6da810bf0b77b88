"""Events of a small shop, for tests."""

from __future__ import annotations

from typing import Any

from feature_store.contract.events import Event

MINUTE = 60_000


def event(type_: str, minute: float, buyer: str = "b", product: str | None = None, **more: Any) -> Event:
    """An event of the store "acme", so many minutes after an arbitrary hour."""
    return Event(
        schema_version=1,
        event_id=f"{buyer}-{type_}-{minute}-{product}",
        store="acme",
        buyer=buyer,
        type=type_,  # type: ignore[arg-type]
        timestamp=1_763_900_000_000 + int(minute * MINUTE),
        product_id=product,
        **more,
    )


def shopping_trip(buyer: str = "b", start: float = 0) -> list[Event]:
    """Looks at two lamps, comes back to the first, puts it into the cart and buys it."""
    lamp, other = {"category": "home/lamps", "price": 19.9}, {"category": "home/lamps", "price": 29.9}
    return [
        event("page_view", start, buyer),
        event("product_view", start + 1, buyer, "lamp-1", **lamp),
        event("product_view", start + 2, buyer, "lamp-2", **other),
        event("product_view", start + 3, buyer, "lamp-1", **lamp),
        event("add_to_cart", start + 4, buyer, "lamp-1", **lamp),
        event("purchase", start + 6, buyer, "lamp-1", **lamp),
    ]
