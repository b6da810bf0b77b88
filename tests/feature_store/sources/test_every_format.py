"""No JSON makes a format raise, whichever it is, and what comes out of it fits the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.contract.events import decode_event, encode_event
from feature_store.contract.names import is_name
from feature_store.sources.formats import Origin, formats
from tests.feature_store.sources.adapters.payloads import HASHER
from tests.feature_store.sources.adapters.test_any_payload import garbage

FIELDS = st.sampled_from(
    [
        *("schema_version", "event_id", "store", "buyer", "session_id", "type", "timestamp", "product_id"),
        *("category", "brand", "price", "currency", "quantity", "value", "query", "ts", "user_id"),
        *("event_type", "event", "name", "params", "items", "events", "batch", "properties", "products"),
        *("client_id", "event_name", "event_timestamp", "user_pseudo_id", "data", "id", "line_items"),
    ]
)
VALUES = st.sampled_from([1, "acme", "view", "purchase", "Order Completed", "track", 1_795_700_000_000, "b"])
RECORDS = st.dictionaries(
    FIELDS,
    garbage
    | st.sampled_from([1, "acme", "view", "purchase", "Order Completed", "track", 1_795_700_000_000, "b"]),
    min_size=4,
    max_size=14,
)


@pytest.mark.parametrize("name", formats())
@settings(max_examples=40)
@given(record=garbage | RECORDS)
def test_no_record_is_more_than_skipped(name: str, record: Any) -> None:
    adapt = formats()[name].open(Origin(Path(__file__), "acme", HASHER))
    adapted = adapt(record, 0)
    for event in adapted.events:
        assert decode_event(encode_event(event)) == event
        assert is_name(event.store)
    for note in adapted.notes:
        assert len(note.form) < 80
