"""Wide shops: as unlike as shops are, and each event still one that the contract takes."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from feature_store.contract.events import Event, decode_event, encode_event
from ops.traffic import TrafficConfig, generate, truth
from ops.traffic.config import FIELDS
from ops.traffic.wide_shops import wide_profiles

SHOPS = 40
SEED = 5
CONFIG = TrafficConfig(buyers=6_000, hours=24 * 14, stores=SHOPS, wide=True, duplicates=0, late=0)


@pytest.fixture(scope="module")
def by_store() -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for batch in generate(CONFIG, SEED):
        for event in batch:
            found[event.store].append(event)
    return found


def test_a_shop_is_the_same_whatever_the_number_of_shops() -> None:
    assert wide_profiles(3, SEED) == wide_profiles(9, SEED)[:3]
    assert wide_profiles(3, SEED) != wide_profiles(3, SEED + 1)


def test_every_event_keeps_the_contract_and_every_buyer_comes(by_store: dict[str, list[Event]]) -> None:
    events = [event for store in by_store.values() for event in store]
    for event in events[::7]:
        assert decode_event(encode_event(event)) == event
    buyers = {key for stores, names, _ in truth(CONFIG, SEED) for key in zip(stores, names, strict=True)}
    assert {(event.store, event.buyer) for event in events} == buyers


def test_shops_lose_what_their_profiles_say(by_store: dict[str, list[Event]]) -> None:
    lost = set()
    for profile in wide_profiles(SHOPS, SEED):
        events = by_store[profile.name]
        assert {event.type for event in events} <= set(profile.event_types)
        for field in profile.loses:
            assert all(getattr(event, field) is None for event in events)
            lost.add(field)
        assert all(event.timestamp % profile.clock_ms == 0 for event in events)
    assert lost == set(FIELDS)


def test_shops_that_adapters_bring_are_among_them(by_store: dict[str, list[Event]]) -> None:
    """Purchases without a cart, no search, no page views, one product; lengths and prices far apart."""
    types = {store: [event.type for event in events] for store, events in by_store.items()}
    assert any("purchase" in seen and "add_to_cart" not in seen for seen in types.values())
    assert any("search" not in seen for seen in types.values())
    assert any("page_view" not in seen for seen in types.values())
    products = [{event.product_id for event in events} - {None} for events in by_store.values()]
    assert any(len(seen) == 1 for seen in products)
    prices = [np.median([p]) for p in (_prices(events) for events in by_store.values()) if len(p)]
    assert max(prices) / min(prices) > 1000
    lengths = [_session_length(events) for events in by_store.values()]
    assert max(lengths) / min(lengths) > 10


def test_some_purchases_of_an_express_shop_follow_no_cart(by_store: dict[str, list[Event]]) -> None:
    needed = {"add_to_cart", "purchase"}
    express = [shop for shop in wide_profiles(SHOPS, SEED) if shop.express and needed <= {*shop.event_types}]
    bought = [_bought(by_store[shop.name]) for shop in express]
    assert any(without and with_cart for without, with_cart in bought)


def _bought(events: list[Event]) -> tuple[int, int]:
    """Purchases of buyers without and with a cart event."""
    carted = {event.buyer for event in events if event.type == "add_to_cart"}
    bought = [event.buyer in carted for event in events if event.type == "purchase"]
    return bought.count(False), bought.count(True)


def _prices(events: list[Event]) -> list[float]:
    return [event.price for event in events if event.price is not None]


def _session_length(events: list[Event]) -> float:
    """Events per buyer: some of these shops name no session."""
    return len(events) / len({event.buyer for event in events})
