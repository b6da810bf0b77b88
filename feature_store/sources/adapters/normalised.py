"""Rows of the normalised parquet (one schema for several public data sets) -> Event.

Ids stay as the file has them: the data sets carry pseudonyms, and offline reports must be traceable to rows.
A row without a user is its session's. The event id is the file's hash and the row's number.
"""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC
from typing import Any, Final

import msgspec

from feature_store.contract.events import SCHEMA_VERSION, Event, EventType
from feature_store.errors import SkippedItemError
from feature_store.sources.adapters.common import Adapted, adapt_items, convert_without_unfit, get, unmapped
from feature_store.sources.formats import Adapt, Format, Origin, register
from feature_store.sources.skips import SkipReason
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.reader import Reader

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


def adapt(row: dict[str, Any], *, file_id: str, number: int, context: Context = NO_CONTEXT) -> Adapted:
    """Adapt one row; never raises. Price is as given; currency, quantity and value are unknown."""
    return adapt_items([row], lambda item, read: _adapt_one(item, read, f"{file_id}-{number}"), context)


def _adapt_one(row: dict[str, Any], read: Reader, event_id: str) -> Event:
    raw_type = get(row, "event_type")
    if isinstance(raw_type, str) and raw_type in _BOUNDARIES:
        raise SkippedItemError(SkipReason.SESSION_BOUNDARY, "sessions follow from event time here")
    kind = EVENT_TYPES.get(raw_type) if isinstance(raw_type, str) else None
    if kind is None:
        raise unmapped()
    sent = {
        "schema_version": SCHEMA_VERSION,
        "event_id": event_id,
        "store": row.get("store"),
        "buyer": read.buyer({name: row.get(name) for name in ("user_id", "session_id")}),
        "session_id": read.identifier("session_id", row.get("session_id")),
        "type": kind,
        "timestamp": read.time("ts", row.get("ts")),
        "product_id": read.identifier("product_id", row.get("product_id")),
        "category": read.category(row.get("category")),
        "brand": read.text("brand", row.get("brand")),
        "price": read.amount("price", row.get("price")),
    }
    try:
        return msgspec.convert(sent, Event)
    except msgspec.ValidationError:
        return convert_without_unfit(sent, read)


def _open(origin: Origin) -> Adapt:
    with origin.path.open("rb") as file:
        file_id = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    context = origin.context
    if context.zone is None:  # as Spark and pandas write UTC
        context = dataclasses.replace(context, zone=UTC)
    return lambda row, number: adapt(row, file_id=file_id, number=number, context=context)


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
