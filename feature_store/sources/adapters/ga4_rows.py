"""Rows of GA4's BigQuery export, as it is and as warehouse tools flatten it.

As it is: event_name, event_timestamp (microseconds), user_pseudo_id, event_params (key-value records),
ecommerce, items; as JSON (numbers may be text) or parquet, the nested columns also as JSON text (Airbyte,
Snowflake). Flat: a parameter is a column of its own, `value`, `param_value` (Fivetran) or
`event_param_value`; an ecommerce field is `ecommerce_transaction_id`; an item may be columns of the row
(UNNEST). In Fivetran's rows, `name` and `timestamp` are event_name and event_timestamp. Times are UTC, also
where a tool left the zone out.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from feature_store.sources.adapters.common import Json, elements, get, json_inside
from feature_store.sources.values.context import Context
from feature_store.sources.values.reader import Reader

ROW_BUYERS: Final = ("user_pseudo_id", "user_id")
GA4_ROW_SIGNS: Final = (
    frozenset({"event_name", "event_timestamp"}),
    frozenset({"name", "timestamp", "user_pseudo_id"}),
)
_BATCH_IDENTITY: Final = ("batch_event_index", "batch_page_id", "batch_ordering_id")
"""What tells apart two rows of one name, buyer and microsecond, since July 2024."""
_PARAMS: Final = ("search_term", "item_list_name", "currency", "value", "transaction_id")
_PREFIXES: Final = ("", "param_", "event_param_", "ecommerce_")
_TYPED: Final = ("string_value", "int_value", "double_value", "float_value")


class Row:
    """One exported row, nested or flat."""

    def __init__(self, row: dict[Any, Any]) -> None:
        self._row = row
        self.params = _params(row)

    @staticmethod
    def context(context: Context) -> Context:
        """How a row's values are read: its times are UTC."""
        return context if context.zone is not None else replace(context, zone=UTC)

    def at(self, *path: str) -> Json:
        """What a column holds, or what is inside it."""
        return get(json_inside(self._row.get(path[0])), *path[1:])

    @property
    def name(self) -> Json:
        """The event's name; None: this is no exported row."""
        name = self._row.get("event_name")
        return self._row.get("name") if name is None and "user_pseudo_id" in self._row else name

    def time(self, read: Reader) -> int:
        """Event time, a count of microseconds or a moment."""
        column = "timestamp" if self._row.get("event_timestamp") is None else "event_timestamp"
        value = self._row.get(column)
        is_count = not isinstance(value, datetime | str) or (isinstance(value, str) and value.isdecimal())
        return read.time("event_timestamp", value, "us" if is_count else "iso8601")

    @property
    def items(self) -> Json:
        """Its items; an item in columns of the row itself is its one item."""
        found = elements(self.at("items"))
        if not found and any(self._row.get(key) is not None for key in ("item_id", "item_name")):
            return [self._row]
        return found

    @property
    def value(self) -> tuple[Json, ...]:
        """What may be the event's value, the best first."""
        revenue = (self.at("ecommerce", "purchase_revenue"), self._row.get("ecommerce_purchase_revenue"))
        return (self.params.get("value"), *revenue, self._row.get("ecommerce_purchase_revenue_in_usd"))

    @property
    def transaction_ids(self) -> tuple[Json, ...]:
        """What may be the order number, the best first."""
        return self.at("ecommerce", "transaction_id"), self.params.get("transaction_id")

    @property
    def content(self) -> Json:
        """What tells the row from others of its buyer and name: the same in intraday and daily tables.

        Rows from before July 2024 have no place in their batch. Events of one batch share the microsecond
        there, and only their parameters and items differ.
        """
        places = [self._row.get(key) for key in _BATCH_IDENTITY]
        time = self._row.get("event_timestamp", self._row.get("timestamp"))
        content = [time, self._row.get("event_bundle_sequence_id"), *places]
        if any(place is not None for place in places):
            return content
        return [*content, self.at("event_params"), self.at("items")]


def _params(row: dict[Any, Any]) -> dict[str, Json]:
    """The event parameters that are read: of event_params, else of columns."""
    nested: dict[str, Json] = {}
    for record in elements(json_inside(row.get("event_params"))) or ():
        key = get(record, "key")
        typed = (get(record, "value", name) for name in _TYPED)
        if isinstance(key, str):
            nested[key] = next((value for value in typed if value is not None), None)
    params = {}
    for name in _PARAMS:
        columns = (row.get(f"{prefix}{name}") for prefix in _PREFIXES)
        params[name] = next((value for value in (nested.get(name), *columns) if value is not None), None)
    return params
