"""The collector's counts of what it understands: of several processes, bounded, in nobody's way."""

from __future__ import annotations

import asyncio
import time

import pytest

from feature_store.online.client import AsyncStore, open_store
from feature_store.online.intake import IntakeCounts, Items
from feature_store.online.refusals import HOUR_MS, RefusedCount, RefusedKind, field_named, read_refusals
from inference.api import collector_counts
from inference.api.collector_counts import IntakeTally
from inference.counts.windows import OTHERS, WindowSettings
from ops.stack.processes import free_ports
from ops.stack.valkey import Valkey

WINDOWS = WindowSettings(window_seconds=3600)


def read(url: str, topic: str) -> dict[str, Items]:
    """What was met, whatever the window."""
    now = time.time_ns() // 1_000_000 // WINDOWS.length_ms
    counts = IntakeCounts(url, topic, WINDOWS.length_ms)
    found: dict[str, Items] = {}
    for stores in counts.read(range(now - 1, now + 1)).values():
        for store, items in stores.items():
            found[store] = found.get(store, Items(0, 0)).plus(*items)
    counts.close()
    return found


@pytest.mark.integration
def test_processes_add_to_the_same_counts(valkey: Valkey, topic_name: str) -> None:
    async def process(known: int) -> None:
        store: AsyncStore = open_store(valkey.address)
        tally = IntakeTally(store, topic_name, WINDOWS)
        for _ in range(known):
            tally.add("acme", 1, 0)
        tally.add("acme", 0, 1)
        await tally.close()
        await store.aclose()

    asyncio.run(process(3))
    asyncio.run(process(4))
    assert read(valkey.address, topic_name) == {"acme": Items(7, 2)}


@pytest.mark.integration
def test_many_stores_are_counted_within_bounds(
    valkey: Valkey, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector_counts, "_MOST", 3)

    async def process() -> None:
        store: AsyncStore = open_store(valkey.address)
        tally = IntakeTally(store, topic_name, WINDOWS)
        for number in range(10):
            tally.add(f"s{number}", 1, 2)
        await tally.close()
        await store.aclose()

    asyncio.run(process())
    found = read(valkey.address, topic_name)
    assert found[OTHERS].known == 7
    assert sum(items.known for items in found.values()) == 10


def test_a_store_that_is_away_fails_nobody_and_costs_no_memory() -> None:
    (port,) = free_ports(1)

    async def process() -> None:
        store: AsyncStore = open_store(f"redis://127.0.0.1:{port}")
        tally = IntakeTally(store, "clickstream", WINDOWS)
        for number in range(100):
            tally.add(f"s{number}", 1, 1)
            if number % 20 == 0:
                await tally.flush()
                assert not tally._met
        await tally.close()
        await store.aclose()

    asyncio.run(process())


@pytest.mark.integration
def test_refusals_are_counted_by_sender_reason_and_field(valkey: Valkey, topic_name: str) -> None:
    kind = RefusedKind("acme", "k1", "invalid_field", field_named("Expected `float` - at `$.price`"))
    now = time.time_ns() // 1_000_000

    async def process() -> list[RefusedCount]:
        store: AsyncStore = open_store(valkey.address)
        tally = IntakeTally(store, topic_name, WINDOWS)
        for one in (kind, kind, kind._replace(key="k2", field="")):
            tally.refuse(one)
        await tally.close()
        found = await read_refusals(store, topic_name, now - 1, now + HOUR_MS)
        await store.aclose()
        return found

    found = asyncio.run(process())
    assert [(one.store, one.key, one.reason, one.field, one.count) for one in found] == [
        ("acme", "k1", "invalid_field", "price", 2),
        ("acme", "k2", "invalid_field", "", 1),
    ]
