"""The generator's laws: its bytes follow from seed and parameters, its events keep the contract."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice, pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.contract.events import Event, decode_event, encode_event
from feature_store.sources.writer import write_events
from ops.traffic import MAX_DISORDER_MS, TrafficConfig, TrafficError, generate, live_config, truth
from ops.traffic.buyer_types import TYPE_NAMES
from ops.traffic.writers import write_truth

SESSION_GAP_MS = 30 * 60 * 1000


def everything(config: TrafficConfig, seed: int, batch_events: int = 10_000) -> list[Event]:
    return [event for batch in generate(config, seed, batch_events=batch_events) for event in batch]


def as_bytes(events: list[Event]) -> bytes:
    return b"\n".join(map(encode_event, events))


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**40),
    batch_events=st.integers(1, 3_000),
    buyers=st.integers(1, 300),
    hours=st.floats(0.1, 100),
    stores=st.integers(1, 8),
)
def test_bytes_depend_on_seed_and_parameters_alone(
    seed: int, batch_events: int, buyers: int, hours: float, stores: int
) -> None:
    config = TrafficConfig(buyers=buyers, hours=hours, stores=stores)
    batches = list(generate(config, seed, batch_events=batch_events))
    assert all(len(batch) == batch_events for batch in batches[:-1])
    once = [event for batch in batches for event in batch]
    assert as_bytes(once) == as_bytes(everything(config, seed))


def test_another_seed_is_other_traffic() -> None:
    config = TrafficConfig(buyers=100)
    assert as_bytes(everything(config, 1)) != as_bytes(everything(config, 2))


@settings(max_examples=10)
@given(seed=st.integers(0, 2**40), noise=st.floats(0, 1), diurnal=st.floats(0, 0.95))
def test_every_event_keeps_the_contract_and_the_run_s_span(seed: int, noise: float, diurnal: float) -> None:
    config = TrafficConfig(buyers=200, hours=30, noise=noise, diurnal=diurnal, duplicates=0.1, late=0.1)
    events = everything(config, seed)
    for event in events:
        assert decode_event(encode_event(event)) == event
        assert config.start_ms <= event.timestamp < config.start_ms + 30 * 3_600_000


@settings(max_examples=10)
@given(seed=st.integers(0, 2**40), noise=st.floats(0, 1))
def test_a_funnel_is_walked_in_order(seed: int, noise: float) -> None:
    """In every session: removal and checkout need goods in the cart, paying and buying a checkout."""
    config = TrafficConfig(buyers=400, hours=48, stores=3, noise=noise, duplicates=0, late=0)
    sessions: dict[str, list[Event]] = defaultdict(list)
    for event in everything(config, seed):
        sessions[f"{event.store}|{event.session_id}"].append(event)
    for session in sessions.values():
        cart: list[tuple[str | None, float]] = []
        checkout = False
        for event in sorted(session, key=lambda e: int(e.event_id.rsplit("-", 1)[1])):
            if event.type == "add_to_cart":
                assert event.value is not None
                cart.append((event.product_id, event.value))
            elif event.type == "remove_from_cart":
                assert cart.pop() == (event.product_id, event.value)
                checkout = checkout and bool(cart)
            elif event.type in ("begin_checkout", "add_payment_info", "purchase"):
                assert cart
                assert checkout or event.type == "begin_checkout"
                assert event.value == pytest.approx(sum(value for _, value in cart))
                checkout = True
                if event.type == "purchase":
                    cart, checkout = [], False


def test_sessions_of_a_buyer_are_told_apart_by_the_gap() -> None:
    events = everything(TrafficConfig(buyers=3_000, hours=24 * 7, duplicates=0, late=0), 3)
    buyers: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        buyers[f"{event.store}|{event.buyer}"].append(event)
    returning = 0
    for history in buyers.values():
        history.sort(key=lambda e: e.timestamp)
        for before, after in pairwise(history):
            same = before.session_id == after.session_id
            assert (after.timestamp - before.timestamp < SESSION_GAP_MS) == same
            returning += not same
    assert returning > 300


def test_delivery_follows_event_time_up_to_the_stated_disorder() -> None:
    newest = 0
    behind = []
    for event in everything(TrafficConfig(buyers=3_000, hours=24, late=0.05), 4):
        newest = max(newest, event.timestamp)
        behind.append(newest - event.timestamp)
    assert max(behind) <= MAX_DISORDER_MS
    assert any(0 < lag < 2_000 for lag in behind)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_duplicates_are_the_share_that_was_asked_for(share: float) -> None:
    events = everything(TrafficConfig(buyers=3_000, duplicates=share), 5)
    first: dict[str, Event] = {}
    again = 0
    for event in events:
        again += event.event_id in first
        assert first.setdefault(event.event_id, event) == event
    assert again / len(first) == pytest.approx(share, abs=0.012)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_late_events_are_the_share_that_was_asked_for(share: float) -> None:
    """Busy traffic, so that the newest event time is the clock to within the network's delay."""
    events = everything(TrafficConfig(buyers=10_000, hours=6, duplicates=0, late=share, diurnal=0), 6)
    newest, late = 0, 0
    for event in events:
        newest = max(newest, event.timestamp)
        late += newest - event.timestamp > 55_000
    assert late / len(events) == pytest.approx(share, abs=0.01)


def test_truth_names_every_buyer_of_the_traffic_once(tmp_path: Path) -> None:
    config = TrafficConfig(buyers=2_500, hours=12)
    assert write_truth(tmp_path / "truth.parquet", truth(config, 7)) == 2_500
    rows = pq.read_table(tmp_path / "truth.parquet").to_pylist()
    known = {(row["store"], row["buyer"]): row["type"] for row in rows}
    assert len(known) == 2_500
    assert {(event.store, event.buyer) for event in everything(config, 7)} == set(known)
    assert set(known.values()) == set(TYPE_NAMES)


def test_latent_types_behave_differently() -> None:
    config = TrafficConfig(buyers=20_000, hours=48, stores=3)
    known = {
        (store, buyer): kind
        for stores, buyers, kinds in truth(config, 8)
        for store, buyer, kind in zip(stores, buyers, kinds, strict=True)
    }
    events: dict[str, list[Event]] = defaultdict(list)
    for event in everything(config, 8):
        events[known[event.store, event.buyer]].append(event)

    def share(kind: str, *types: str) -> float:
        return sum(event.type in types for event in events[kind]) / len(events[kind])

    def per_buyer(kind: str) -> float:
        return len(events[kind]) / list(known.values()).count(kind)

    assert share("decisive_buyer", "purchase") > 5 * share("cart_abandoner", "purchase")
    assert share("cart_abandoner", "add_to_cart") > 5 * share("browser", "add_to_cart")
    assert share("searcher", "search") > 3 * share("comparer", "search")
    assert share("bargain_hunter", "list_view", "remove_from_cart") > 2 * share("comparer", "list_view")
    assert per_buyer("comparer") > 4 * per_buyer("bouncer")


def test_files_hold_the_same_events_and_the_same_bytes(tmp_path: Path) -> None:
    config = TrafficConfig(buyers=200)
    events = everything(config, 9)
    for name in ("a.ndjson", "b.ndjson", "a.parquet", "b.parquet"):
        assert write_events(tmp_path / name, generate(config, 9)) == len(events)
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "b.ndjson").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert [decode_event(line) for line in (tmp_path / "a.ndjson").read_bytes().splitlines()] == events
    assert [Event(**row) for row in pq.read_table(tmp_path / "a.parquet").to_pylist()] == events


def test_live_traffic_never_overtakes_the_clock() -> None:
    """At its rate, event n is sent n / rate seconds after the start; its event time is before that."""
    now_ms, rate = 1_800_000_000_000, 500.0
    config = live_config(TrafficConfig(stores=3), 10, rate, now_ms)
    batches = islice(generate(config, 10, endless=True), 60)
    events = [event for batch in batches for event in batch]
    assert len(events) == 600_000
    lags = [now_ms + i / rate * 1000 - event.timestamp for i, event in enumerate(events)]
    assert min(lags) > 0
    assert sorted(lags)[len(lags) // 2] < 2 * 3_600_000


@pytest.mark.parametrize(
    "parameters", [{"buyers": 0}, {"duplicates": 1.5}, {"late": -0.1}, {"hours": 0.0}, {"diurnal": 1.0}]
)
def test_parameters_out_of_range_are_refused_by_name(parameters: dict[str, float]) -> None:
    with pytest.raises(TrafficError, match=next(iter(parameters))):
        TrafficConfig(**parameters)  # type: ignore[arg-type]
