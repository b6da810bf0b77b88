"""What a load needs: each part carries its share, more of a load needs no less, and where the design ends."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from feature_store.contract.events import record_key
from feature_store.contract.partitions import partition_of
from feature_store.online.keys import PERSONA, STATE, Keys
from ops.planner.plan import Load, Plan, largest_share, plan, value
from ops.stack.valkey_cluster import FEWEST_NODES, slot_limits

PLATFORM = Load(
    buyers=8.37e6,
    events_per_s=250e3,
    stores=42,
    reads_per_s=25e3,
    events_per_request=10,
    hottest_per_s=100,
)
loads = st.builds(
    Load,
    buyers=st.floats(1, 1e9),
    events_per_s=st.floats(1, 1e6),
    stores=st.floats(1, 1e4),
    reads_per_s=st.floats(0, 1e6),
    events_per_request=st.floats(1, 1000),
    hottest_per_s=st.floats(0, 1e5),
)


def with_(**changed: float) -> Plan:
    return plan(msgspec.structs.replace(PLATFORM, **changed))


def named(found: Plan, words: str) -> list[str]:
    return [limit for limit in found.limits if words in limit]


@given(loads)
def test_each_part_carries_its_share(load: Load) -> None:
    found = plan(load)
    workers, kafka, store, api = found.workers, found.kafka, found.store, found.api
    assert load.events_per_s / workers.workers <= value("worker") * value("busy")
    assert workers.workers * value("growth") <= workers.partitions == 1 << int(math.log2(workers.partitions))
    assert max(kafka.written_mb_per_s, kafka.read_mb_per_s) <= kafka.brokers * value("broker_mb")
    assert api.reading_cores + api.collecting_cores <= api.processes * value("busy")
    assert store.masters == 1 or FEWEST_NODES <= store.masters <= workers.partitions
    assert store.replicas == store.masters
    if store.masters < workers.partitions:
        assert store.node_gb <= value("node_gb")
        assert not [it for it in found.limits if "larger nodes" in it]


@given(loads, st.floats(1, 10))
def test_more_of_a_load_needs_no_less(load: Load, times: float) -> None:
    more = msgspec.structs.replace(
        load,
        buyers=load.buyers * times,
        events_per_s=load.events_per_s * times,
        reads_per_s=load.reads_per_s * times,
    )
    small, large = plan(load), plan(more)
    assert small.workers.workers <= large.workers.workers
    assert small.workers.partitions <= large.workers.partitions
    assert small.kafka.brokers <= large.kafka.brokers
    assert small.store.rows_gb <= large.store.rows_gb
    assert small.api.pods <= large.api.pods
    assert small.history.archive_gb_per_day <= large.history.archive_gb_per_day


def test_a_small_shop_gets_what_survives_the_loss_of_one() -> None:
    found = plan(
        Load(buyers=1e4, events_per_s=50, stores=1, reads_per_s=5, events_per_request=1, hottest_per_s=10)
    )
    assert (found.workers.workers, found.workers.partitions, found.kafka.brokers) == (2, 8, 3)
    assert (found.store.masters, found.store.replicas, found.api.pods) == (1, 1, 2)
    assert not found.encoder.triton
    assert not found.limits


@pytest.mark.parametrize("masters", [1, 3, 5])
@pytest.mark.parametrize("partitions", [8, 32])
def test_the_largest_master_is_the_one_that_a_cluster_has(masters: int, partitions: int) -> None:
    """Partitions are not dealt evenly, as slots are: the one with most decides on the memory of all."""
    held = dict.fromkeys(range(masters), 0)
    for number in range(partitions):
        slot = key_slot(Keys("clickstream").of(number) + b"state:acme|b")
        (owner,) = [
            n for n in range(masters) if slot_limits(masters)[n] <= slot < slot_limits(masters)[n + 1]
        ]
        held[owner] += 1
    assert largest_share(masters, partitions) == max(held.values()) / partitions


def test_a_buyer_is_of_one_partition_and_one_slot_whatever_it_sends() -> None:
    """Which is why no number of servers helps against one bot."""
    keys = [record_key("acme", "bot") for _ in range(100)]
    places = {partition_of(key, 64) for key in keys}
    rows = [
        Keys("clickstream").of(place) + kind + key
        for place in places
        for kind in (STATE, PERSONA)
        for key in keys
    ]
    assert len(places) == len({key_slot(row) for row in rows}) == 1


@pytest.mark.parametrize("rate", [10e3, 30e3])
def test_a_worker_carries_a_bot_beside_its_share(rate: float) -> None:
    assert not named(with_(hottest_per_s=rate), "one buyer")


def test_a_bot_beyond_one_worker_is_where_the_design_ends() -> None:
    (limit,) = named(with_(hottest_per_s=50e3), "one buyer")
    assert "one buyer with 50,000 events/s is one partition" in limit
    assert with_(hottest_per_s=50e3).workers == msgspec.structs.replace(
        with_().workers, hottest_partition_per_s=250e3 / 32 + 50e3
    ), "more workers would not help"


def test_stores_that_are_not_counted_alone_are_named() -> None:
    (limit,) = named(with_(stores=1_000), "stores:")
    assert "SIMPERSONA_WINDOW_STORES" in limit


def test_processes_that_all_read_all_assignments_are_named() -> None:
    found = with_(events_per_request=1)
    assert named(found, "reads all assignments")
    assert found.api.collecting_cores > with_().api.collecting_cores
