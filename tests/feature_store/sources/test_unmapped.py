from __future__ import annotations

import pytest

from feature_store.sources.adapters.segment import EVENT_TYPES
from feature_store.sources.unmapped import (
    MOST_NAMES,
    OTHERS,
    UnmappedName,
    count_names,
    nearest_name,
    shown_name,
)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Product Page Viewed", "Product Viewed"),
        ("Order Complete", "Order Completed"),
        ("order_finished", None),
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
