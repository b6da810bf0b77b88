"""Events of the contract, as they are on the topic: in NDJSON, in parquet, and as a shop sends them.

What fits the contract is taken in one step. What does not is read field by field: an optional field never
takes an event away, and a required one is refused by its name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import GenericAlias
from typing import Any, Final

import msgspec

from feature_store.contract.events import Event, decode_event
from feature_store.errors import InvalidEventError, SkippedItemError
from feature_store.sources.adapters.common import (
    OPTIONAL_TYPES,
    Adapted,
    adapt_items,
    get,
    refuse_without_consent,
)
from feature_store.sources.adapters.consents import stated
from feature_store.sources.formats import CONTRACT, Format, Origin, register
from feature_store.sources.skips import SkipReason, invalid
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.ids import is_placeholder
from feature_store.sources.values.notes import Field, Reason
from feature_store.sources.values.reader import Fields, Reader

_READERS: Final[dict[Field, Callable[[Reader, Any], Any]]] = {
    "session_id": lambda read, value: read.identifier("session_id", value),
    "product_id": lambda read, value: read.identifier("product_id", value),
    "category": lambda read, value: read.text("category", value),
    "brand": lambda read, value: read.text("brand", value),
    "price": lambda read, value: read.amount("price", value),
    "currency": lambda read, value: read.currency(value),
    "quantity": lambda read, value: read.quantity(value),
    "value": lambda read, value: read.amount("value", value),
    "query": lambda read, value: read.text("query", value),
    "order": lambda read, value: read.identifier("order", value),
    "line": lambda read, value: read.identifier("line", value),
}


def adapt(row: Any, *, context: Context = NO_CONTEXT) -> Adapted:
    """Adapt one decoded record; never raises. A file's record that states consent may be left out for it; its
    buyer is a name in events already, and a file has no place in the log."""
    return adapt_items([row], _adapt_one, context)


def _adapt_one(row: Any, read: Reader) -> Event:
    refuse_without_consent(stated(get(row, "consent")))
    try:
        event = msgspec.convert(row, Event)
    except msgspec.ValidationError:
        event = _read(row, read)
    if is_placeholder(event.buyer):
        raise SkippedItemError(SkipReason.NO_BUYER_ID, "there is no buyer id in buyer")
    return event


def _read(row: Any, read: Reader) -> Event:
    if not isinstance(row, dict):
        raise invalid("the record is no object")
    if row.get("buyer") is None:
        raise invalid("buyer is missing: the id of the shopper")
    fields = {**lenient_fields(row, read), "buyer": read.buyer({"buyer": row["buyer"]})}
    try:
        return msgspec.convert(fields, Event)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def lenient_fields(row: dict[Any, Any], read: Reader) -> Fields:
    """The fields of an event of the contract but for the buyer, as someone sent it.

    Store, type and version stay as they are.

    Raises:
        SkippedItemError: invalid or bad_timestamp, for event_id and timestamp.
    """
    fields: Fields = {name: row[name] for name in ("schema_version", "store", "type") if name in row}
    fields["event_id"] = read.identifier("event_id", row.get("event_id"))
    if fields["event_id"] is None:
        raise invalid("event_id is missing, or no text of 1 to 256 characters")
    fields["timestamp"] = read.time("timestamp", row.get("timestamp"), "ms")
    for name, read_field in _READERS.items():
        fields[name] = _optional(name, row.get(name), read_field, read)
    return fields


def _optional(name: Field, value: Any, read_field: Callable[[Reader, Any], Any], read: Reader) -> Any:
    try:
        return msgspec.convert(value, OPTIONAL_TYPES[name])
    except msgspec.ValidationError:
        noted = len(read.notes)
        found = read_field(read, value)
        if len(read.notes) == noted:
            if found is None:
                read.emptied(name, Reason.PLACEHOLDER, value)
            else:
                read.repaired(name, Reason.CONVERTED, value)
        return found


def _decode_line(raw: bytes) -> Event | None:
    if b'"consent"' in raw:
        return None
    try:
        event = decode_event(raw)
    except InvalidEventError:
        return None
    return None if is_placeholder(event.buyer) else event


def _adapt_columns(columns: dict[str, list[Any]], _: int) -> list[Event] | None:
    """All at once, column by column: each is checked by its field's own type, and no row is made of them."""
    if "consent" in columns:
        return None
    try:
        checked = [
            msgspec.convert(columns[name], its_type) if name in columns else itertools.repeat(None)
            for name, its_type in _COLUMN_TYPES.items()
        ]
    except msgspec.ValidationError:
        return None
    if any(map(is_placeholder, columns["buyer"])):
        return None
    return [
        Event(
            schema_version=version, event_id=event_id, store=store, buyer=buyer, session_id=session_id,
            type=kind, timestamp=timestamp, product_id=product_id, category=category, brand=brand,
            price=price, currency=currency, quantity=quantity, value=value, query=query, order=order,
            line=line,
        )
        for version, event_id, store, buyer, session_id, kind, timestamp, product_id, category, brand,
        price, currency, quantity, value, query, order, line in zip(*checked, strict=False)
    ]  # fmt: skip


_COLUMN_TYPES: Final[dict[str, Any]] = {
    field.name: GenericAlias(list, (field.type,)) for field in msgspec.structs.fields(Event)
}


def _open(origin: Origin) -> Callable[[Any, int], Adapted]:
    return lambda record, _: adapt(record, context=origin.context)


register(
    Format(
        name=CONTRACT,
        about="Events of the contract; an archive's files",
        open=_open,
        columns=frozenset({"schema_version", "event_id", "store", "buyer", "type", "timestamp"}),
        signs=(frozenset({"buyer", "event_id", "timestamp", "type"}),),
        read=(*Event.__struct_fields__, "consent"),
        numbers=frozenset({"schema_version", "timestamp", "price", "quantity", "value"}),
        names_store=True,
        time_unit="ms",
        decode_line=_decode_line,
        open_columns=lambda _: _adapt_columns,
    )
)
