from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from feature_store.sources.adapters.mapping.loading import parse_mapping
from feature_store.sources.adapters.segment import EVENT_TYPES
from feature_store.sources.reader import open_events
from feature_store.sources.unmapped import (
    MOST_NAMES,
    OTHERS,
    UnmappedName,
    count_names,
    nearest_name,
    shown_name,
)
from tests.feature_store.sources.adapters.mapping.maps import BASE
from tests.feature_store.sources.adapters.payloads import HASHER, TIME_MS, segment


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Product Page Viewed", "Product Viewed"),
        ("Order Complete", "Order Completed"),
        ("parcel_dispatched", None),
        ("prodcut_added", "Product Added"),
        ("Door Slammed", None),
        ("", None),
    ],
)
def test_the_nearest_known_name_stands_beside_an_unknown_one(name: str, nearest: str | None) -> None:
    assert nearest_name(name, EVENT_TYPES) == nearest


def test_names_are_counted_and_their_number_is_bounded() -> None:
    counted: dict[str, UnmappedName] = {}
    count_names(counted, ["Order Complete", "Order Complete", *(f"n{i}" for i in range(500))], EVENT_TYPES)
    assert counted["Order Complete"] == UnmappedName(2, "Order Completed")
    assert len(counted) == MOST_NAMES + 1
    assert counted[OTHERS] == UnmappedName(500 - MOST_NAMES + 1)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Clicked \x00\n", "Clicked ??"),
        ("mail ann@example.com", "aaaa aaa@aaaaaaa.aaa"),
        ("order 123456", "aaaaa 999999"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_name_that_may_be_private_is_not_shown(name: str, shown: str) -> None:
    assert shown_name(name) == shown


def test_a_report_lists_what_nothing_here_knows(tmp_path: Path) -> None:
    path = tmp_path / "pixel.ndjson"
    names = ["Product Page Viewed", "Product Page Viewed", "Door Slammed", "Product Viewed"]
    path.write_bytes(
        b"\n".join(msgspec.json.encode(segment(name, {}, messageId=str(i))) for i, name in enumerate(names))
    )
    source = open_events(path, identity=HASHER, kind="segment", store="acme")
    list(source.batches())
    assert source.report.unmapped == {
        "Product Page Viewed": UnmappedName(2, "Product Viewed"),
        "Door Slammed": UnmappedName(1),
    }


def test_a_mapping_without_a_place_for_names_shows_what_its_rules_look_at() -> None:
    rules = """
    [[events]]
    type = "product_view"
    where = { kind = "product", path = "/p/.*" }
    [[events]]
    type = "add_to_cart"
    where = { kind = ["cart", "basket"] }
    """
    pixel = parse_mapping((BASE + rules).encode())
    adapted = pixel.adapt({"who": "b", "at": TIME_MS, "kind": "kart"}, store="shop", hasher=HASHER)
    assert (adapted.skipped, adapted.unmapped) == ({"unmapped_event": 1}, ["kart"])
    assert pixel.known_names == ["product", "cart", "basket"]
