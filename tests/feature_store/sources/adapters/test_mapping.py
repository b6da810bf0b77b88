from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import feature_store.sources.adapters
from feature_store.contract.bots import is_bot
from feature_store.contract.events import Event
from feature_store.errors import AdapterError
from feature_store.sources.adapters.mapping.loading import load_mapping
from feature_store.sources.adapters.mapping.pixel import PixelMapping
from feature_store.sources.reader import open_events
from tests.feature_store.sources.adapters.payloads import BROWSER, CRAWLER, HASHER, TIME_MS, TIME_TEXT

PUFFY = Path(feature_store.sources.adapters.__file__).parent / "mappings" / "puffy.toml"
OWN = """
format = 1
buyer = "visitor.id"
time = "at"
time_unit = "s"
event_id = "id"
currency = "EUR"

[[events]]
type = "add_to_cart"
where = { kind = "cart", "page.path" = '/shop/(?P<category>[a-z]+)/(?P<product_id>\\d+)' }
fields = { price = "page.price", quantity = "n", brand = "tags.0" }

[[events]]
type = "page_view"
where = {}
"""
RECORD = {
    "id": "e-1",
    "visitor": {"id": 17},
    "at": TIME_MS / 1000,
    "kind": "cart",
    "page": {"path": "/shop/mugs/42", "price": "9.5"},
    "n": 2,
    "tags": ["acme"],
}


@pytest.fixture
def own(tmp_path: Path) -> PixelMapping:
    return load_mapping(written(tmp_path, OWN))


def written(folder: Path, content: str) -> Path:
    path = folder / "shop.toml"
    path.write_text(content)
    return path


def only(mapping: PixelMapping, record: dict[str, Any]) -> Event:
    adapted = mapping.adapt(record, store="shop", hasher=HASHER)
    assert adapted.skipped == {}
    (event,) = adapted.events
    return event


def test_paths_groups_and_constants(own: PixelMapping) -> None:
    assert only(own, RECORD) == Event(
        schema_version=1,
        event_id="e-1",
        store="shop",
        buyer=HASHER.buyer("shop", "17"),
        type="add_to_cart",
        timestamp=TIME_MS,
        product_id="42",
        category="mugs",
        brand="acme",
        price=9.5,
        currency="EUR",
        quantity=2,
    )


def test_the_first_rule_that_fits_decides(own: PixelMapping) -> None:
    assert only(own, RECORD | {"kind": "other"}).type == "page_view"
    assert only(own, RECORD | {"page": {"path": "/shop/mugs/42/reviews"}}).type == "page_view"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", "format"),
        ('time_unit = "s"', 'time_unit = "days"', "time_unit"),
        ('"add_to_cart"', '"added"', "added"),
        ("product_id>", "email>", "email"),
        ("[a-z]+", "[a-z", "no regular expression"),
        ("price =", "email =", "email"),
        ('buyer = "visitor.id"', "", "buyer"),
        ("currency =", "money =", "money"),
        ("format = 1", "format =", "line"),
    ],
)
def test_what_is_wrong_in_a_mapping_is_said(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in OWN
    with pytest.raises(AdapterError, match=f"shop.toml.*{message}"):
        load_mapping(written(tmp_path, OWN.replace(old, new)))


def test_a_missing_mapping_is_said(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="cannot read the mapping"):
        load_mapping(tmp_path / "none.toml")


def puffy_record(**fields: Any) -> dict[str, Any]:
    base = {
        "client_id": "c1",
        "timestamp": TIME_TEXT,
        "event_name": "checkout_completed",
        "page_path": "/checkouts/cn/-/thank-you",
        "referrer_host": None,
        "event_data": '{"transaction_id": "T1", "revenue": 2128, "items": ['
        '{"item_id": "sheet", "quantity": 2, "item_price": 245},'
        '{"item_id": "bed", "quantity": 1, "item_price": 934}]}',
        "user_agent": BROWSER,
    }
    return base | fields


def test_an_order_is_one_purchase_named_by_its_most_valuable_line() -> None:
    event = only(load_mapping(PUFFY), puffy_record())
    assert (event.type, event.value) == ("purchase", 2128.0)
    assert (event.product_id, event.price, event.quantity) == ("bed", 934.0, 1)


def test_a_repeated_transaction_of_a_buyer_is_one_event() -> None:
    puffy = load_mapping(PUFFY)
    first = only(puffy, puffy_record())
    again = only(puffy, puffy_record(timestamp="2025-02-23T09:00:00Z"))
    other = only(puffy, puffy_record(client_id="c2"))
    assert first.event_id == again.event_id
    assert first.event_id != other.event_id  # numbers collide between buyers: seen with different amounts


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"client_id": None}, "no_buyer_id"),
        ({"user_agent": CRAWLER}, "bot"),
        ({"event_name": "scrolled"}, "unmapped_event"),
    ],
)
def test_skipped(change: dict[str, Any], reason: str) -> None:
    adapted = load_mapping(PUFFY).adapt(puffy_record(**change), store="puffy", hasher=HASHER)
    assert adapted.events == []
    assert adapted.skipped == {reason: 1}


def test_a_column_of_json_that_holds_none_costs_its_own_fields() -> None:
    broken = only(load_mapping(PUFFY), puffy_record(event_data="{"))
    assert (broken.type, broken.value, broken.product_id) == ("purchase", None, None)
    assert only(load_mapping(PUFFY), puffy_record(event_data="")).type == "purchase"


def test_the_real_pixel_agrees_with_the_normalised_file(shared_data: Path) -> None:
    """Event for event: what the mapping makes of the raw file is the normalised file without bots."""
    source = open_events(shared_data / "puffy_raw.parquet", identity=HASHER, mapping=PUFFY)
    # A row that the pixel sent twice has one event id: the fold and the normalised file take it once.
    distinct = {(event.buyer, event.event_id): event for batch in source.batches() for event in batch}
    ours = Counter(
        (event.buyer, event.timestamp, event.type, None if event.type == "purchase" else event.product_id)
        for event in distinct.values()
    )
    assert source.report.events == len(distinct) + 1
    raw = pl.read_parquet(shared_data / "puffy_raw.parquet")
    agents = {agent: is_bot(agent) for agent in raw["user_agent"].unique()}
    is_bots = raw["user_agent"].replace_strict(agents)
    assert source.report.skipped == {
        "bot": is_bots.sum(),
        "no_buyer_id": raw.filter(~is_bots)["client_id"].null_count(),
    }
    normalised = open_events(shared_data / "puffy.parquet", identity=HASHER)
    theirs = Counter(
        (HASHER.buyer("puffy", event.buyer), event.timestamp, event.type, event.product_id)
        for batch in normalised.batches()
        for event in batch
    )
    assert ours - theirs == Counter()
    bots_left_in = theirs - ours  # the normalised file was made with an older list of bots
    assert bots_left_in.total() == 420
