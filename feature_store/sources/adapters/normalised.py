"""Rows of the normalised parquet (one schema for several public data sets) -> Event.

Ids stay as the file has them: the data sets carry pseudonyms, and offline reports must be traceable to rows.
A row without a user is its session's. The event id is the file's hash and the row's number.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from datetime import UTC
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from feature_store.contract.events import SCHEMA_VERSION, Event, EventType
from feature_store.contract.names import Name
from feature_store.errors import SkippedItemError
from feature_store.sources.adapters.common import Adapted, adapt_items, convert_without_unfit, get, unmapped
from feature_store.sources.formats import Adapt, AdaptColumns, Format, Origin, register
from feature_store.sources.skips import SkipReason
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.reader import Reader
from feature_store.sources.values.times import MAX_TIME_MS

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
T = TypeVar("T")
_Time = Annotated[int, msgspec.Meta(gt=0, le=MAX_TIME_MS)]
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


def _adapt_columns(columns: dict[str, list[Any]], file_id: str, first: int) -> list[Event] | None:
    """Clean rows, column by column, each different value once; None: a row is left out or needs a note."""
    kinds = [EVENT_TYPES.get(name) for name in columns["event_type"]]
    if None in kinds:
        return None
    read = Reader(NO_CONTEXT)
    try:
        users, sessions, products = (
            _read_each(columns[name], partial(read.identifier, "product_id"))
            for name in ("user_id", "session_id", "product_id")
        )
        buyers = [session if user is None else user for user, session in zip(users, sessions, strict=True)]
        stores = msgspec.convert(columns["store"], list[Name])
        times = msgspec.convert(columns["ts"], list[_Time])
        categories = _read_each(columns["category"], read.category)
        brands = _read_each(columns["brand"], partial(read.text, "brand"))
        prices = _read_each(columns["price"], partial(read.amount, "price"))
    except (msgspec.ValidationError, TypeError):
        return None
    if read.notes or None in buyers or not (times and min(times) > 0 and max(times) <= MAX_TIME_MS):
        return None
    return [
        Event(
            schema_version=SCHEMA_VERSION, event_id=f"{file_id}-{number}", store=store, buyer=buyer,
            session_id=session, type=kind, timestamp=timestamp, product_id=product, category=category,
            brand=brand, price=price,
        )
        for number, (store, buyer, session, kind, timestamp, product, category, brand, price) in enumerate(
            zip(stores, buyers, sessions, kinds, times, products, categories, brands, prices, strict=True),
            first,
        )
    ]  # fmt: skip


def _read_each(values: list[Any], read: Callable[[Any], T]) -> list[T]:
    """Each value as it is read; TypeError where one is a list or an object."""
    known = {value: read(value) for value in set(values)}
    return [known[value] for value in values]


def _open(origin: Origin) -> Adapt:
    file_id = _file_id(origin.path, origin.path.stat().st_mtime_ns)
    context = origin.context
    if context.zone is None:  # as Spark and pandas write UTC
        context = dataclasses.replace(context, zone=UTC)
    return lambda row, number: adapt(row, file_id=file_id, number=number, context=context)


def _open_columns(origin: Origin) -> AdaptColumns:
    file_id = _file_id(origin.path, origin.path.stat().st_mtime_ns)
    return lambda columns, first: _adapt_columns(columns, file_id, first)


@lru_cache(maxsize=8)
def _file_id(path: Path, _changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


register(
    Format(
        name="normalised",
        about="One schema for several public data sets",
        open=_open,
        open_columns=_open_columns,
        lines=False,
        columns=frozenset(COLUMNS),
        read=COLUMNS,
        names_store=True,
    )
)
