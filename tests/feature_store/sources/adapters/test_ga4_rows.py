"""Rows of GA4's export as warehouse tools hand them on: JSON text, flat columns, one row per item."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from feature_store.contract.events import Event
from feature_store.contract.identity import PlainIds
from feature_store.sources.adapters.ga4 import adapt
from tests.feature_store.sources.adapters.payloads import GA4_ITEMS, TIME_MS, ga4_row


def only(row: Any) -> Event:
    adapted = adapt(row, store="acme", hasher=PlainIds())
    assert adapted.skipped == {}
    assert {note.reason for note in adapted.notes} <= {"zone"}
    (event,) = adapted.events
    return event


def params(**values: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"string_value": value}} for key, value in values.items()]


FIVETRAN = {
    "_fivetran_id": "1",
    "bundle_sequence_id": 101,
    "date": "2025-02-23",
    "name": "purchase",
    "timestamp": "2025-02-23 00:00:01.750",
    "user_id": None,
    "user_pseudo_id": "123.456",
    "ecommerce_purchase_revenue_in_usd": 29.99,
    "ecommerce_transaction_id": "txn_1",
    "param_ga_session_id": "s1",
    "param_currency": "USD",
}
DBT = {
    "event_date_dt": "2025-02-23",
    "event_timestamp": TIME_MS * 1000,
    "event_name": "purchase",
    "user_pseudo_id": "123.456",
    "transaction_id": "txn_1",
    "value": 29.99,
    "currency": "USD",
}
UNNESTED = {
    "event_name": "view_item",
    "event_timestamp": str(TIME_MS * 1000),
    "user_pseudo_id": "123.456",
    "item_id": "p-17",
    "item_name": "Mug",
    "item_category": "Home",
    "price": "19.99",
    "quantity": "2",
    "currency": "USD",
}


@pytest.mark.parametrize("row", [FIVETRAN, DBT], ids=["fivetran", "dbt"])
def test_a_flat_row_is_the_purchase_that_it_was(row: dict[str, Any]) -> None:
    event = only(row)
    assert (event.type, event.buyer, event.timestamp) == ("purchase", "123.456", TIME_MS)
    assert (event.value, event.currency) == (29.99, "USD")
    assert event.event_id == only(row | {"_fivetran_id": "2"}).event_id  # named by its order


def test_an_item_in_columns_of_the_row() -> None:
    event = only(UNNESTED)
    assert (event.product_id, event.category, event.price, event.quantity) == ("p-17", "Home", 19.99, 2)


def test_nested_columns_as_json_text() -> None:
    row = ga4_row("view_item", items=GA4_ITEMS[:1], event_params=params(currency="USD"))
    as_text = {key: json.dumps(row[key]) for key in ("items", "event_params", "ecommerce")}
    assert only(row | as_text).product_id == "p-17"
    assert only(row | as_text).currency == "USD"
    assert only(row | {"items": "[", "event_params": "", "ecommerce": "null"}).product_id is None


@pytest.mark.parametrize("time", [datetime(2025, 2, 23, 0, 0, 1, 750_000), "2025-02-23T00:00:01.750Z"])
def test_times_as_moments(time: Any) -> None:
    assert only(DBT | {"event_timestamp": time}).timestamp == TIME_MS


def test_rows_of_one_microsecond_are_told_apart_by_their_parameters() -> None:
    one = ga4_row("view_item", items=GA4_ITEMS[:1])
    assert only(one).event_id != only(one | {"items": GA4_ITEMS[1:]}).event_id
    assert only(one).event_id != only(one | {"event_params": params(currency="USD")}).event_id
    assert only(one).event_id == only(dict(one)).event_id


def test_rows_with_a_place_in_their_batch_are_named_by_it() -> None:
    """So that the daily table, which may write a parameter otherwise, gives the intraday row's names."""
    one = ga4_row("view_item", items=GA4_ITEMS[:1], batch_event_index="3", batch_page_id="7")
    assert only(one).event_id == only(one | {"items": GA4_ITEMS[1:]}).event_id
    assert only(one).event_id != only(one | {"batch_event_index": "4"}).event_id
