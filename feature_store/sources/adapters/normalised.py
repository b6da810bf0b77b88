"""Rows of the normalised parquet (one schema for several public data sets) -> Event.

Ids stay as the file has them: the data sets carry pseudonyms, and offline reports must be traceable to rows.
A row without a user is its session's. The event id is the file's hash and the row's number.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from feature_store.contract.events import SCHEMA_VERSION, Event, EventType
from feature_store.errors import SkippedItemError
from feature_store.sources.adapters.common import Adapted, SkipReason, adapt_items, invalid, time_ms, unmapped
from feature_store.sources.formats import Adapt, Format, Origin, register

COLUMNS: Final = (
    "store",
    "ts",
    "user_id",
    "session_id",
    "event_type",
    "product_id",
    "category",
    "brand",
    "price",
)
EVENT_TYPES: Final[dict[str, EventType]] = {
    "view": "product_view",
    "page": "page_view",
    "info": "page_view",
    "download": "page_view",
    "list": "list_view",
    "cart": "add_to_cart",
    "cart_view": "view_cart",
    "checkout": "begin_checkout",
    "signup": "sign_up",
    "search": "search",
    "purchase": "purchase",
    "login": "login",
}
_BOUNDARIES: Final = frozenset({"session_start", "session_end"})


def adapt(row: dict[str, Any], *, file_id: str, number: int) -> Adapted:
    """Adapt one row; never raises. Price is as given; currency, quantity and value are unknown."""
    return adapt_items([row], lambda item: _adapt_one(item, f"{file_id}-{number}"))


def _adapt_one(row: dict[str, Any], event_id: str) -> Event:
    raw_type = row.get("event_type")
    if raw_type in _BOUNDARIES:
        raise SkippedItemError(SkipReason.SESSION_BOUNDARY, "sessions follow from event time here")
    kind = EVENT_TYPES.get(raw_type) if isinstance(raw_type, str) else None
    if kind is None:
        raise unmapped()
    buyer = row.get("user_id") or row.get("session_id")
    if buyer is None:
        raise SkippedItemError(SkipReason.NO_BUYER_ID, "the row has neither user nor session")
    try:
        return msgspec.convert(
            {
                "schema_version": SCHEMA_VERSION,
                "event_id": event_id,
                "store": row.get("store"),
                "buyer": buyer,
                "session_id": row.get("session_id"),
                "type": kind,
                "timestamp": time_ms(row.get("ts")),
                "product_id": row.get("product_id"),
                "category": row.get("category"),
                "brand": row.get("brand"),
                "price": row.get("price"),
            },
            Event,
        )
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def _open(origin: Origin) -> Adapt:
    with origin.path.open("rb") as file:
        file_id = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return lambda row, number: adapt(row, file_id=file_id, number=number)


register(
    Format(
        name="normalised",
        about="One schema for several public data sets",
        open=_open,
        lines=False,
        columns=frozenset(COLUMNS),
        read=COLUMNS,
        names_store=True,
    )
)
