"""Every mapping file that ships, on records as its senders write them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from feature_store.contract.events import Event, encode_event
from feature_store.contract.identity import PlainIds
from feature_store.sources.adapters.mapping.language import Dialect
from feature_store.sources.formats import formats
from feature_store.sources.reader import open_events
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


def test_snowplows_enriched_tsv_has_no_header(tmp_path: Path) -> None:
    columns = (formats()["snowplow"].dialect or Dialect()).columns
    assert columns is not None
    assert len(columns) == 131
    row = {
        "collector_tstamp": "2026-11-20 10:00:01.000",
        "derived_tstamp": "2026-11-20 10:00:00.000",
        "event": "page_view",
        "event_name": "page_view",
        "event_id": "e1",
        "domain_userid": "d1",
        "useragent": "Mozilla/5.0 (X11; Linux x86_64)",
        "contexts": json.dumps({"schema": "iglu:contexts", "data": [{"schema": 'iglu:a "b"', "data": {}}]}),
    }
    path = tmp_path / "enriched.tsv"
    path.write_text("".join("\t".join(row.get(name, "") for name in columns) + "\n" for _ in range(2)))
    source = open_events(path, identity=PlainIds(), kind="snowplow", store="acme")
    first, _ = (event for batch in source.batches() for event in batch)
    assert (first.type, first.buyer, first.timestamp) == ("page_view", "d1", 1_795_168_800_000)


def test_adobes_hits_are_rows_below_the_line_of_column_headers(tmp_path: Path) -> None:
    path = tmp_path / "hit_data.tsv"
    path.write_text(
        "hit_time_gmt\tmcvisid\tpost_event_list\tpost_product_list\tcurrency\n"
        "1795168800\t1020\t2,100\tHats;sku1\tEUR\n"
    )
    source = open_events(path, identity=PlainIds(), kind="adobe", store="acme")
    (event,) = (event for batch in source.batches() for event in batch)
    assert (event.type, event.product_id, event.category) == ("product_view", "sku1", "Hats")
