from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from feature_store.contract.events import Event
from feature_store.sources.adapters.normalised import EVENT_TYPES, adapt

ROW = {
    "store": "shop",
    "ts": datetime(2025, 2, 23, 0, 0, 1, 750_000, tzinfo=UTC),
    "user_id": "u1",
    "session_id": "s1",
    "event_type": "view",
    "product_id": "p1",
    "category": "home/kitchen",
    "brand": None,
    "price": 28,
}


def test_a_row_keeps_the_ids_of_its_file() -> None:
    (event,) = adapt(ROW, file_id="abc", number=7).events
    assert event == Event(
        schema_version=1,
        event_id="abc-7",
        store="shop",
        buyer="u1",
        session_id="s1",
        type="product_view",
        timestamp=1_740_268_801_750,
        product_id="p1",
        category="home/kitchen",
        price=28.0,
    )


def test_a_row_without_a_user_is_its_sessions() -> None:
    (event,) = adapt(ROW | {"user_id": None}, file_id="abc", number=0).events
    assert event.buyer == "s1"


@pytest.mark.parametrize(("theirs", "ours"), EVENT_TYPES.items())
def test_event_type(theirs: str, ours: str) -> None:
    (event,) = adapt(ROW | {"event_type": theirs}, file_id="abc", number=0).events
    assert event.type == ours


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event_type": "session_start"}, "session_boundary"),
        ({"event_type": "session_end"}, "session_boundary"),
        ({"event_type": "wishlist"}, "unmapped_event"),
        ({"event_type": None}, "unmapped_event"),
        ({"user_id": None, "session_id": None}, "no_buyer_id"),
        ({"ts": None}, "bad_timestamp"),
        ({"ts": datetime(2025, 2, 23)}, "bad_timestamp"),
        ({"store": "no spaces"}, "invalid"),
    ],
)
def test_skipped(change: dict[str, Any], reason: str) -> None:
    adapted = adapt(ROW | change, file_id="abc", number=0)
    assert adapted.events == []
    assert adapted.skipped == {reason: 1}
