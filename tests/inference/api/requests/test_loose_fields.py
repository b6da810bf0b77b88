"""Fields of the contract that do not fit: optional ones are repaired or emptied, required ones refused."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from feature_store.contract.events import Event
from feature_store.sources.formats import CONTRACT
from inference.api.bounds.costs import Meter
from inference.api.requests.ages import DAY_MS
from inference.api.requests.payloads import Taken
from tests.inference.api.requests.test_bodies import COLLECTOR, EVENT, NOW, TRACK


def take(*items: dict[str, Any], source: str = CONTRACT) -> Taken:
    return COLLECTOR.take(json.dumps(items).encode(), source, "acme", Meter())


def the_event(taken: Taken) -> Event:
    (event,) = taken.events
    assert taken.refused == []
    return event


@pytest.mark.parametrize(
    ("field", "value", "expected", "note"),
    [
        ("price", "5.00", 5.0, ("repaired", "converted")),
        ("price", "$ 1,299.00", 1299.0, ("repaired", "thousands_separator")),
        ("price", "1.299", None, ("emptied", "ambiguous")),
        ("price", -1, None, ("emptied", "negative")),
        ("value", "", None, ("emptied", "placeholder")),
        ("value", {"amount": 3, "currency": "EUR"}, 3.0, ("repaired", "object")),
        ("currency", "usd", "USD", ("repaired", "letter_case")),
        ("currency", "euro", None, ("emptied", "not_a_currency")),
        ("quantity", 0, None, ("emptied", "zero")),
        ("quantity", 1.0, 1, ("repaired", "converted")),
        ("product_id", 123, "123", ("repaired", "converted")),
        ("product_id", "x" * 300, None, ("emptied", "too_long")),
        ("category", ["Men", "Shoes"], "Men/Shoes", ("repaired", "list")),
        ("brand", "x" * 300, "x" * 256, ("repaired", "cut")),
        ("query", 9.5, "9.5", ("repaired", "number")),
        ("session_id", True, None, ("emptied", "not_an_id")),
    ],
)
def test_an_optional_field_never_takes_an_event_away(
    field: str, value: Any, expected: Any, note: tuple[str, str]
) -> None:
    taken = take({**EVENT, field: value})
    assert getattr(the_event(taken), field) == expected
    assert [(one.kind, one.reason) for one in taken.notes if one.field == field] == [note]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"buyer": None}, "buyer is missing"),
        ({"buyer": 4711}, "buyer is a number: send the shop's own id of the shopper as text"),
        ({"buyer": ["b"]}, "buyer is no text"),
        ({"type": "wishlist"}, "`$.type`"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": "soon"}, "timestamp is not a number of ms"),
        ({"event_id": ""}, "event_id is missing"),
        ({"store": "no spaces", "price": "?"}, "`$.store`"),
    ],
)
def test_a_required_field_is_refused_by_its_name(change: dict[str, Any], detail: str) -> None:
    taken = take({**EVENT, **change}, {**EVENT, "event_id": "e2"})
    assert the_places(taken) == [(0, "invalid_field")]
    assert detail in taken.refused[0][2]
    assert [event.event_id for event in taken.events] == ["e2"]
    assert taken.notes == []


def the_places(taken: Taken) -> list[tuple[int, str]]:
    return [(place, reason) for place, reason, _ in taken.refused]


def test_placeholders_are_no_buyers() -> None:
    words = ["null", "undefined", "  ", "", "{{ customer.id }}", "00000000-0000-0000-0000-000000000000"]
    taken = take(*({**EVENT, "buyer": word} for word in words))
    assert (taken.events, taken.refused, taken.skipped) == ([], [], {"no_buyer_id": len(words)})


@pytest.mark.parametrize(
    ("source", "item", "fits"),
    [
        (CONTRACT, {**EVENT, "timestamp": NOW // 1000}, "fits s"),
        (CONTRACT, {**EVENT, "timestamp": NOW * 1000}, "fits us"),
        ("ga4", {"client_id": "1.2", "timestamp_micros": NOW, "events": [{"name": "login"}]}, "fits ms"),
    ],
)
def test_a_time_of_another_unit_is_refused_with_the_unit_that_fits(
    source: str, item: dict[str, Any], fits: str
) -> None:
    taken = take(item, source=source)
    assert taken.events == []
    assert fits in taken.refused[0][2]


def test_history_is_not_taken_at_this_door() -> None:
    taken = take({**EVENT, "timestamp": NOW - 366 * DAY_MS}, {**EVENT, "timestamp": NOW - 364 * DAY_MS})
    assert the_places(taken) == [(0, "old_timestamp")]
    assert "366 days back" in taken.refused[0][2]
    assert len(taken.events) == 1


@pytest.mark.parametrize(
    ("source", "item"),
    [
        ("segment", {key: value for key, value in TRACK.items() if key != "timestamp"}),
        ("ga4", {"client_id": "1.2", "events": [{"name": "login"}]}),
        ("shopify", {"name": "page_viewed", "clientId": "c", "id": "e", "data": {}}),
    ],
)
def test_a_body_without_a_time_is_of_now(source: str, item: dict[str, Any]) -> None:
    taken = take(item, source=source)
    assert the_event(taken).timestamp >= NOW
    assert ("assumed", "timestamp", "received") in [note[:3] for note in taken.notes]


def test_segments_rule_sets_a_wrong_clock_right() -> None:
    now = time.time_ns() // 1_000_000  # NOW is of when the file was read
    ahead = now + 3 * 3_600_000
    sent = {"batch": [{**TRACK, "timestamp": ahead - 2_000}], "sentAt": ahead}
    assert abs(the_event(take(sent, source="segment")).timestamp - now) < 600_000
    behind = {**TRACK, "timestamp": now - 800 * DAY_MS, "sentAt": now - 800 * DAY_MS + 5_000}
    assert abs(the_event(take(behind, source="segment")).timestamp - now) < 600_000


def test_lines_of_json_are_a_body_too() -> None:
    lines = b"\xef\xbb\xbf" + b"\n".join(json.dumps({**EVENT, "event_id": str(i)}).encode() for i in range(3))
    taken = COLLECTOR.take(lines, CONTRACT, "acme", Meter())
    assert [event.event_id for event in taken.events] == ["0", "1", "2"]
