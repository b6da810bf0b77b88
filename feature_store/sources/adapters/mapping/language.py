"""What a mapping file may hold: one definition, of which the JSON Schema and the documents' tables are made.

A `Place` says where a value comes from: a path, a table (`Source`), or a list of both of which the first that
gives a value counts.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from feature_store.contract.events import EventType
from feature_store.contract.names import Name
from feature_store.sources.values.context import DecimalSign
from feature_store.sources.values.units import TimeUnit

FieldName = Literal["product_id", "category", "brand", "query", "price", "value", "currency", "quantity"]
Scalar: TypeAlias = str | bool | int | float
OTHER: Final = "other"
"""The key of `names` for names that mean nothing here."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file; a key that it does not have is a mistake."""


class Source(_Table, frozen=True):
    """A value with more to say than its path."""

    path: Annotated[str, Meta(description="path to the value")] | None = None
    const: Annotated[Scalar, Meta(description="the value itself, the same for all records")] | None = None
    separator: (
        Annotated[
            str, Meta(min_length=1, description="what stands between the levels of a category: `>`, ` | `")
        ]
        | None
    ) = None
    unknown: Annotated[
        list[Scalar], Meta(description="values that mean that there is none: `[0]` for a shop's guests")
    ] = []


Place: TypeAlias = str | list[str | Source] | Source


class Presence(_Table, frozen=True):
    """A condition on whether there is a value at all."""

    exists: Annotated[bool, Meta(description="whether there must be a value, or must be none")]


Condition: TypeAlias = str | bool | int | float | list[Scalar] | Presence


class Lines(_Table, frozen=True):
    """The lines of an order, a cart or any product event: their list, and the places within one line."""

    at: Annotated[
        str | list[str],
        Meta(description="path to the list of lines, or paths of which the first list counts"),
    ]
    product_id: Annotated[Place, Meta(description="place of the product's id")] | None = None
    category: Annotated[Place, Meta(description="place of its category")] | None = None
    brand: Annotated[Place, Meta(description="place of its brand")] | None = None
    price: Annotated[Place, Meta(description="place of the price of one")] | None = None
    currency: Annotated[Place, Meta(description="place of the line's own currency")] | None = None
    quantity: Annotated[Place, Meta(description="place of how many")] | None = None


class Rule(_Table, frozen=True):
    """One kind of event."""

    type: Annotated[EventType, Meta(description="our event type")]
    where: Annotated[
        dict[str, Condition],
        Meta(
            description="path -> condition, all of which must hold: a regular expression that matches the "
            "whole text (a named group is a contract field), a number, `true` or `false`, a list of which "
            "one must hold, or `{ exists = false }`"
        ),
    ]
    fields: Annotated[
        dict[FieldName, Place], Meta(description="contract field -> place; before those of the whole file")
    ] = {}
    lines: Lines | None = None
    order: Annotated[Place, Meta(description="place of the order number")] | None = None
    line: (
        Annotated[
            Place, Meta(description="place of what tells apart the rows of one order, if a line is a row")
        ]
        | None
    ) = None


class Consent(_Table, frozen=True):
    """Where a record says whether its shopper agreed to be measured."""

    path: Annotated[str, Meta(description="path to the answer")]
    given: Annotated[list[Scalar], Meta(min_length=1, description="answers that mean yes")]


class Dialect(_Table, frozen=True):
    """How a CSV or TSV is written, where looking at it does not tell."""

    delimiter: Annotated[str, Meta(min_length=1, max_length=1, description="between two columns")] | None = (
        None
    )
    quote: Annotated[str, Meta(min_length=1, max_length=1, description="around a text")] | None = None
    encoding: Annotated[str, Meta(description="as Python names it: `cp1252`")] | None = None
    columns: (
        Annotated[list[str], Meta(min_length=1, description="the columns' names, if the file has no header")]
        | None
    ) = None


class MappingFile(_Table, frozen=True, kw_only=True):
    """A mapping file as it is written."""

    format: Annotated[Literal[1], Meta(description="version of this file format: `1`")]
    about: Annotated[str, Meta(description="what these records are, in one line")] | None = None
    signs: Annotated[
        list[list[str]],
        Meta(
            description="members of a record (`a.b`: b in a): one with all of a list is of this kind, and a "
            "message says so if another format was given for it. For formats that ship"
        ),
    ] = []
    store: Annotated[Name, Meta(description="the shop's name, if `--store` does not give it")] | None = None
    each: (
        Annotated[
            str,
            Meta(
                description="path to a list in the record: each item is an event; `visits.*.actions` goes "
                "through a list inside a list. Paths start at the item, `^` leads to what is around its list"
            ),
        ]
        | None
    ) = None
    buyer: (
        Annotated[
            Place,
            Meta(description="place of the visitor's id; without it `anonymous_id`, then `user_id`, counts"),
        ]
        | None
    ) = None
    anonymous_id: (
        Annotated[Place, Meta(description="place of the browser's or device's id, before and after a login")]
        | None
    ) = None
    user_id: Annotated[Place, Meta(description="place of the id of a shopper who has logged in")] | None = (
        None
    )
    time: Annotated[Place, Meta(description="place of the event time")]
    time_unit: Annotated[TimeUnit, Meta(description="`iso8601`, `s`, `ms`, `us` or `ns`")] = "iso8601"
    timezone: (
        Annotated[
            str, Meta(description="zone of times that name none: `Europe/Berlin`; `--timezone` wins over it")
        ]
        | None
    ) = None
    decimal: (
        Annotated[
            DecimalSign,
            Meta(description="the decimal sign of amounts in text; `--decimal` wins over it"),
        ]
        | None
    ) = None
    dialect: Dialect | None = None
    event: Annotated[Place, Meta(description="place of the event's name: for `names` and reports")] | None = (
        None
    )
    names: Annotated[
        dict[EventType | Literal["other"], list[str]],
        Meta(
            description="our event type -> names of theirs, in any case, blanks, `_` and `-` alike; `other`: "
            "names that mean nothing here. They hold where no rule does"
        ),
    ] = {}
    events: Annotated[
        list[Rule], Meta(description="the rules; the first whose conditions all hold decides")
    ] = []
    fields: Annotated[
        dict[FieldName, Place],
        Meta(description="contract field -> place, for every event that can have the field"),
    ] = {}
    lines: Lines | None = None
    order: Annotated[Place, Meta(description="place of the order number, for purchases")] | None = None
    line: Annotated[Place, Meta(description="place of the line's number, for purchases")] | None = None
    user_agent: Annotated[Place, Meta(description="place of the user agent; bots are skipped")] | None = None
    event_id: (
        Annotated[
            Place,
            Meta(description="place of the event's id; without it, it is a keyed hash of the record"),
        ]
        | None
    ) = None
    currency: Annotated[str, Meta(description="the one currency of the shop")] | None = None
    json_columns: Annotated[
        list[str],
        Meta(description="text fields that hold JSON; needless, since paths lead into any such text"),
    ] = []
    consent: (
        Annotated[
            str | Consent,
            Meta(
                description="path to the shopper's answer, or a table: an event whose answer is not yes is "
                "skipped as `opted_out`; where there is no answer, it is taken"
            ),
        ]
        | None
    ) = None


TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "file": MappingFile,
    "rule": Rule,
    "lines": Lines,
    "source": Source,
    "consent": Consent,
    "dialect": Dialect,
}
"""The tables of the language by the names that docs/mapping.md gives them."""


def keys(table: type[msgspec.Struct]) -> list[tuple[str, str, str]]:
    """The keys of a table: name, meaning, default."""
    tables = json_schema()["$defs"]
    schema = tables[table.__name__]
    rows = []
    for name, key in schema["properties"].items():
        default = key.get("default")
        shown = "required" if name in schema.get("required", ()) else f"`{default}`" if default else ""
        about = key if "description" in key else tables[key["$ref"].rpartition("/")[2]]
        rows.append((name, about["description"], shown))
    return rows


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a mapping file, for editors."""
    schema = _without_null(msgspec.json.schema(MappingFile))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _without_null(schema: Any) -> Any:
    """The schema as TOML can be, without null; a key's description stands beside it, where editors look."""
    if isinstance(schema, list):
        return [_without_null(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _without_null(value) for key, value in schema.items() if (key, value) != ("default", None)}
    variants = [one for one in kept.pop("anyOf", ()) if one != {"type": "null"}]
    if isinstance(kept.get("pattern"), str):  # JavaScript's expressions have no \Z
        kept["pattern"] = kept["pattern"].replace(r"\Z", "$")
    if len(variants) == 1:
        return {**kept, **variants[0]}
    return {**kept, "anyOf": variants} if variants else kept
