from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feature_store.contract.events import Event, encode_event
from feature_store.contract.identity import PlainIds
from feature_store.sources.adapters.normalised import EVENT_TYPES, adapt
from feature_store.sources.formats import AdaptColumns, Origin, formats

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


def columns(*changes: dict[str, Any]) -> dict[str, list[Any]]:
    """Rows with these changes as a reader of parquet gives them by column, times as ms."""
    rows = [ROW | {"ts": 1_740_268_801_750} | change for change in changes]
    return {name: [row[name] for row in rows] for name in ROW}


def opened(folder: Path) -> AdaptColumns:
    path = folder / "rows.parquet"
    path.write_bytes(b"any")
    open_columns = formats()["normalised"].open_columns
    assert open_columns is not None
    return open_columns(Origin(path, "", PlainIds()))


def test_columns_at_once_give_the_events_of_their_rows(tmp_path: Path) -> None:
    adapt_columns = opened(tmp_path)
    changes = [
        {"event_type": theirs, "price": price, "user_id": user, "category": category}
        for theirs, price, user, category in zip(
            EVENT_TYPES,
            [28, 19.5, None, 0] * 3,
            ["u1", None, "null", "-", "ü", "7"] * 2,
            ["a/b", " a ", None, "n/a"] * 3,
            strict=True,
        )
    ]
    found = adapt_columns(columns(*changes), 5)
    assert found is not None
    file_id = found[0].event_id.removesuffix("-5")
    by_row = [adapt(ROW | change, file_id=file_id, number=5 + i).events for i, change in enumerate(changes)]
    assert [[encode_event(event)] for event in found] == [
        [encode_event(one) for one in row] for row in by_row
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": "session_start"},
        {"event_type": "wishlist"},
        {"user_id": None, "session_id": None},
        {"user_id": "1005115.0"},
        {"user_id": ["u"]},
        {"ts": None},
        {"ts": 10**15},
        {"store": "no spaces"},
        {"price": -1.0},
        {"category": "Men > Shoes"},
        {"brand": "b" * 300},
    ],
)
def test_columns_with_a_row_that_needs_a_note_are_read_by_row(tmp_path: Path, change: dict[str, Any]) -> None:
    adapt_columns = opened(tmp_path)
    assert adapt_columns(columns({}, change), 0) is None
