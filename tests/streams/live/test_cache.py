"""The write-back cache: bounded, and never forgetting what the store does not have."""

from __future__ import annotations

import numpy as np

from feature_store.fold.behavior import columns, fold
from feature_store.fold.products import ProductTable
from feature_store.fold.table import BYTES_PER_STATE
from feature_store.online.encoding import unpack_row
from streams.live.cache import BuyerCache
from tests.strategies import event


def filled(cache: BuyerCache, count: int, *, dirty: bool, partition: int = 0, name: str = "b") -> list[int]:
    slots = []
    for i in range(count):
        slot = cache.add(f"acme|{name}{i}".encode(), partition)
        cache._meta.used[slot], cache._meta.dirty[slot] = i, dirty
        slots.append(slot)
    return slots


def test_eviction_takes_the_oldest_clean_buyers_only() -> None:
    cache = BuyerCache(100 * (BYTES_PER_STATE + 300), slack=5_000)
    filled(cache, 60, dirty=True)
    filled(cache, 60, dirty=False, name="clean")
    assert cache.evict() == 45  # down to three quarters of the bound
    assert cache.used_bytes <= 100 * (BYTES_PER_STATE + 300)
    assert cache.dirty_count() == 60
    assert b"acme|clean0" not in cache._table.slots
    assert b"acme|clean59" in cache._table.slots


def test_nothing_is_evicted_while_everything_is_dirty() -> None:
    cache = BuyerCache(10 * (BYTES_PER_STATE + 300), slack=5_000)
    filled(cache, 30, dirty=True)
    assert cache.evict() == 0
    assert len(cache) == 30


def test_rows_come_back_as_they_were() -> None:
    cache, products = BuyerCache(2**20, slack=5_000), ProductTable()
    slot = cache.add(b"acme|b1", 3)
    batch = [event(product_id="p", price=3.0), event(event_id="2", type="purchase", value=9.0)]
    fold(cache._table.states, np.array([slot, slot]), columns(batch, products), products)
    cache._meta.sent[slot] = 9, 1, 2, 3, 4
    cache._meta.since_offset[slot], cache._meta.last_offset[slot] = 4, 5
    rows = cache.rows(np.array([slot]))
    other = BuyerCache(2**20, slack=5_000)
    again = other.add(b"acme|b1", 3)
    other.fill([again], [rows[b"acme|b1"]])
    assert other.rows(np.array([again])) == rows
    assert unpack_row(rows[b"acme|b1"])[0][:5] == (4, 5, 9, 1, 2)


def test_dropping_a_partition_leaves_the_others_and_empties_the_slots() -> None:
    cache = BuyerCache(2**24, slack=5_000)
    mine = filled(cache, 5, dirty=True, partition=1)
    filled(cache, 5, dirty=True, partition=2, name="other")
    cache._table.states.counters[mine] = 7
    cache.drop(1)
    assert cache.dirty(1).size == 0
    assert cache.dirty(2).size == 5
    fresh = cache.add(b"acme|new", 2)
    assert fresh in mine
    assert not cache._table.states.counters[fresh].any()
    assert cache._meta.code[fresh] == cache._meta.since_offset[fresh] == -1


def test_it_grows_past_the_first_thousand() -> None:
    cache = BuyerCache(2**26, slack=5_000)
    slots = filled(cache, 3_000, dirty=False)
    assert len(set(slots)) == 3_000
    assert cache.keys[slots[2_999]] == b"acme|b2999"
