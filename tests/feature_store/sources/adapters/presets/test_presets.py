"""Every mapping file that ships, on records as its senders write them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from feature_store.contract.events import Event, encode_event
from feature_store.contract.identity import PlainIds
from feature_store.sources.formats import formats
from tests.feature_store.sources.adapters.payloads import HASHER

FOLDER = Path(__file__).parent
CASES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
PRIVATE = ("example.com", "203.0.113", "Ann", "High Street", "Berlin")


def record(name: str) -> Any:
    """The longest of the preset's records that is an event: it has the most places."""
    rows = [row for row in CASES[name]["rows"] if adapted(name, [row], HASHER)[0]]
    return max(rows, key=lambda row: len(json.dumps(row)))


def adapted(name: str, rows: list[Any], hasher: Any) -> tuple[list[Event], dict[str, int]]:
    payload = formats()[name].payload
    assert payload is not None
    found = [payload.adapt(row, store="acme", hasher=hasher) for row in rows]
    skipped: Counter[str] = Counter()
    for one in found:
        skipped.update(one.skipped)
    return [event for one in found for event in one.events], dict(skipped)


@pytest.mark.parametrize("name", CASES)
def test_real_records_become_the_events_that_their_sender_means(name: str) -> None:
    case = CASES[name]
    events, skipped = adapted(name, case["rows"], PlainIds())
    assert skipped == case["skipped"]
    known = {"event_id", "line", "order", "schema_version", "store"}
    for event, expected in zip(events, case["events"], strict=True):
        shown = {key: getattr(event, key) for key in event.__struct_fields__}
        kept = {
            key: value
            for key, value in shown.items()
            if value is not None and key not in known - set(expected)
        }
        assert kept == expected


@pytest.mark.parametrize("name", CASES)
def test_nothing_private_leaves(name: str) -> None:
    events, _ = adapted(name, CASES[name]["rows"], HASHER)
    for event in events:
        assert not [text for text in PRIVATE if text in encode_event(event).decode()]


@pytest.mark.parametrize("name", ["rudderstack", "snowplow", "woocommerce", "magento"])
def test_an_order_that_is_sent_again_is_one_event(name: str) -> None:
    events, _ = adapted(name, CASES[name]["rows"] * 2, HASHER)
    orders = {event.event_id for event in events if event.type == "purchase"}
    assert len(orders) == len({json.dumps(one) for one in CASES[name]["events"] if one["type"] == "purchase"})


def test_every_preset_has_a_case() -> None:
    shipped = {
        path.stem for path in (FOLDER.parents[4] / "feature_store/sources/adapters/mappings").glob("*.toml")
    }
    assert shipped - {"puffy"} == set(CASES)
