"""A shop's own pixel -> Event, by a declarative mapping file (TOML); docs/adapters.md is its reference.

    format = 1
    about = "Acme's own pixel"            # one line, for the list of formats
    store = "acme"                        # default of --store
    buyer = "client_id"                   # a path: keys joined by dots
    time = "timestamp"
    time_unit = "iso8601"                 # or s, ms, us, ns
    user_agent = "user_agent"             # its bots become no buyers
    json_columns = ["event_data"]         # text fields that hold JSON, decoded before any path is followed

    [[events]]                            # the first rule whose conditions all hold decides
    type = "product_view"
    where = { event_name = "page_viewed", page_path = '/products/(?P<product_id>[^/]+)' }

    [[events]]
    type = "purchase"
    where = { event_name = "checkout_completed" }
    order = "event_data.transaction_id"
    fields = { value = "event_data.revenue" }
    lines = { at = "event_data.items", product_id = "item_id", price = "item_price", quantity = "quantity" }

A condition is a regular expression that must match the whole text of the field; its named groups are
contract fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from feature_store.contract.events import Event, EventType
from feature_store.contract.identity import Identity
from feature_store.contract.names import Name
from feature_store.errors import AdapterError
from feature_store.sources.adapters.common import (
    Adapted,
    Json,
    adapt_items,
    build_event,
    get,
    items_of,
    refuse_bot,
    unmapped,
)
from feature_store.sources.formats import Format, register, vendor
from feature_store.sources.skips import invalid
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.reader import Fields, Reader
from feature_store.sources.values.units import TimeUnit

_READERS: Final[dict[str, Callable[[Reader, Json], Json]]] = {
    "product_id": lambda read, value: read.identifier("product_id", value),
    "category": lambda read, value: read.category(value),
    "brand": lambda read, value: read.text("brand", value),
    "query": lambda read, value: read.text("query", value),
    "price": lambda read, value: read.amount("price", value),
    "value": lambda read, value: read.amount("value", value),
    "currency": lambda read, value: read.currency(value),
    "quantity": lambda read, value: read.quantity(value),
}
FieldName = Literal["product_id", "category", "brand", "query", "price", "value", "currency", "quantity"]


class Lines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an order's lines are, and the paths within one line. The most valuable line names the product."""

    at: str
    product_id: str | None = None
    category: str | None = None
    brand: str | None = None
    price: str | None = None
    quantity: str | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of event: which records (field -> regular expression) and where its fields are."""

    type: EventType
    where: dict[str, str]
    fields: dict[FieldName, str] = {}
    lines: Lines | None = None
    order: str | None = None


class MappingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file as written; see the module's docstring."""

    format: Literal[1]
    buyer: str
    time: str
    events: list[Rule]
    about: str | None = None
    store: Name | None = None
    time_unit: TimeUnit = "iso8601"
    user_agent: str | None = None
    event_id: str | None = None
    currency: str | None = None
    json_columns: list[str] = []


class PixelMapping:
    """A loaded mapping file: an adapter for the records of one shop's own pixel."""

    def __init__(self, file: MappingFile) -> None:
        """Compile the conditions.

        Raises:
            AdapterError: a condition is no regular expression, or names a group that is no contract field.
        """
        self.store, self.about, self.time_unit = file.store, file.about, file.time_unit
        self._file = file
        self._rules = [(rule, _compile_conditions(rule)) for rule in file.events]

    def adapt(self, payload: Any, *, store: str, hasher: Identity, context: Context = NO_CONTEXT) -> Adapted:
        """Adapt one record (a row, or a line's JSON object); never raises, whatever it is."""
        return adapt_items(
            [payload], lambda record, read: self._adapt_one(record, read, store, hasher), context
        )

    def _adapt_one(self, record: Json, read: Reader, store: str, hasher: Identity) -> Event:
        if not isinstance(record, dict):
            raise invalid("the record is no object")
        file = self._file
        if file.user_agent is not None:
            refuse_bot(_at(record, file.user_agent))
        decoded = {**record, **{name: _decode_column(record.get(name)) for name in file.json_columns}}
        rule, captured = self._match(decoded)
        fields: Fields = {"currency": file.currency}
        if rule.lines is not None:
            fields.update(_line_fields(read, rule.lines, decoded))
        fields.update({name: _READERS[name](read, value) for name, value in captured.items()})
        fields.update({name: _READERS[name](read, _at(decoded, path)) for name, path in rule.fields.items()})
        fields["type"] = rule.type
        fields["timestamp"] = read.time(file.time, _at(decoded, file.time), file.time_unit)
        if file.event_id is not None:
            fields["event_id"] = read.identifier("event_id", _at(decoded, file.event_id))
        return build_event(
            fields,
            read=read,
            store=store,
            buyers={file.buyer: _at(decoded, file.buyer)},
            identity=hasher,
            content=record,
            order=None if rule.order is None else read.identifier("order", _at(decoded, rule.order)),
        )

    def _match(self, record: Json) -> tuple[Rule, dict[str, str | None]]:
        for rule, conditions in self._rules:
            captured: dict[str, str | None] = {}
            for path, pattern in conditions:
                value = _at(record, path)
                found = pattern.fullmatch(value) if isinstance(value, str) else None
                if found is None:
                    break
                captured.update(found.groupdict())
            else:
                return rule, captured
        raise unmapped()


def load_mapping(path: Path) -> PixelMapping:
    """Read a mapping file.

    Raises:
        AdapterError: it cannot be read, or what is wrong in it and where.
    """
    try:
        return PixelMapping(msgspec.toml.decode(path.read_bytes(), type=MappingFile))
    except OSError as error:
        raise AdapterError(f"cannot read the mapping {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, AdapterError) as error:
        raise AdapterError(f"the mapping {path} is wrong: {error}") from None


def _compile_conditions(rule: Rule) -> list[tuple[str, re.Pattern[str]]]:
    conditions = []
    for path, expression in rule.where.items():
        try:
            pattern = re.compile(expression)
        except re.error as error:
            raise AdapterError(f"where.{path}: {expression!r} is no regular expression: {error}") from None
        unknown = pattern.groupindex.keys() - _READERS.keys()
        if unknown:
            names = ", ".join(_READERS)
            raise AdapterError(f"where.{path}: no field {min(unknown)!r}; a named group is one of {names}")
        conditions.append((path, pattern))
    return conditions


def _at(record: Json, path: str) -> Json:
    return get(record, *_steps(path))


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str | int, ...]:
    return tuple(int(step) if step.isdecimal() else step for step in path.split("."))


def _decode_column(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise invalid("a JSON column does not hold JSON") from None


def _line_fields(read: Reader, lines: Lines, record: Json) -> Fields:
    def at(item: Json, path: str | None) -> Json:
        return None if path is None else _at(item, path)

    fields = read.cart(
        [
            read.line(
                product_id=at(item, lines.product_id),
                category=at(item, lines.category),
                brand=at(item, lines.brand),
                price=at(item, lines.price),
                currency_code=None,
                quantity=at(item, lines.quantity),
            )
            for item in items_of(_at(record, lines.at))
        ]
    )
    if fields["currency"] is None:
        del fields["currency"]
    return fields


def mapped(name: str, pixel: PixelMapping) -> Format:
    """The format that a mapping file describes."""
    about = pixel.about or "A mapping file"
    return vendor(name, about, pixel.adapt, store=pixel.store, time_unit=pixel.time_unit)


for _preset in sorted((Path(__file__).parent / "mappings").glob("*.toml")):
    register(mapped(_preset.stem, load_mapping(_preset)))
