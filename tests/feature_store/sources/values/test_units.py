"""A file whose times are of another unit is refused, and the unit that fits is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feature_store.errors import EventSourceError
from feature_store.sources.reader import open_events
from feature_store.sources.values.units import fitting_unit
from tests.feature_store.sources.adapters import payloads
from tests.feature_store.sources.adapters.payloads import HASHER

TEN = 1_763_892_000_000  # 2025-11-23T10:00:00Z


def contract(timestamp: int) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "event_id": "e",
        "store": "acme",
        "buyer": "b",
        "type": "login",
        "timestamp": timestamp,
    }


def events_of(folder: Path, records: list[dict[str, Any]], **options: Any) -> int:
    path = folder / "events.ndjson"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return sum(len(batch) for batch in open_events(path, identity=HASHER, **options).batches())


@pytest.mark.parametrize(
    ("count", "unit"),
    [
        (TEN // 1000, "s"),
        (TEN, "ms"),
        (TEN * 1000, "us"),
        (TEN * 10**6, "ns"),
        (0, None),
        (-TEN, None),
        (10**30, None),
    ],
)
def test_at_most_one_unit_fits(count: int, unit: str | None) -> None:
    assert fitting_unit(count) == unit


def test_seconds_in_a_file_of_the_contract(tmp_path: Path) -> None:
    with pytest.raises(EventSourceError, match="not in ms: they would be in 1970, and fit s;"):
        events_of(tmp_path, [contract(TEN // 1000)])


def test_milliseconds_in_a_file_of_ga4(tmp_path: Path) -> None:
    rows = [payloads.ga4_row("page_view", event_timestamp=TEN)] * 3
    with pytest.raises(EventSourceError, match="not in us: they would be in 1970, and fit ms;"):
        events_of(tmp_path, rows, kind="ga4", store="acme")


def test_some_wrong_times_are_no_wrong_unit(tmp_path: Path) -> None:
    assert events_of(tmp_path, [contract(TEN), contract(TEN // 1000), contract(TEN)]) == 3


def test_any_age_is_taken_from_a_file(tmp_path: Path) -> None:
    assert events_of(tmp_path, [contract(1_000)]) == 1  # a second after the epoch: of no unit a better time
