"""The last acts and the present session: the laws that ADR 53 states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import TYPE_CODE, Event
from feature_store.fold.acts import LATEST
from feature_store.fold.behavior import COUNTER
from feature_store.fold.vector import GAPS, KINDS, SESSION, SESSION_SCALARS
from feature_store.history.offline_fold import fold_history
from tests.strategies import MINUTE, START, event, histories


def acts_of(events: list[Event]) -> list[int]:
    """The last acts of the only buyer."""
    history = fold_history([events])
    states = history.table.states.latest[history.table.rows()]
    return [act for act in states.reshape(-1).tolist() if act]


def of_one(events: list[Event]) -> list[Event]:
    """Different acts of one buyer, without orders."""
    changed = [
        event(event_id=f"e{i}", type=e.type, timestamp=e.timestamp)
        for i, e in enumerate(events)
        if e.type != "refund"
    ]
    return changed[: 3 * LATEST]


@given(histories().map(of_one), st.randoms(use_true_random=False))
def test_the_last_acts_are_a_function_of_the_set_of_acts(events: list[Event], random: object) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert acts_of(shuffled) == acts_of(events)
    assert acts_of(events) == sorted(acts_of(events), reverse=True)


@given(histories().map(of_one), st.integers(0, 3 * LATEST))
def test_those_of_two_states_together_are_the_greatest_of_both(events: list[Event], cut: int) -> None:
    both = acts_of(events[:cut]) + acts_of(events[cut:])
    assert acts_of(events) == sorted(both, reverse=True)[:LATEST]


def test_a_session_counts_its_acts_and_what_arrives_late_in_it() -> None:
    def session(*events: Event) -> dict[str, int]:
        history = fold_history([events])
        counters = history.table.states.counters[0]
        return {
            name: int(counters[at]) for name, at in COUNTER.items() if name.startswith(("session_", "away"))
        }

    first = [event(event_id="1", type="search", timestamp=START)]
    second = [
        event(event_id="2", type="product_view", timestamp=START + 100 * MINUTE),
        event(event_id="3", type="add_to_cart", timestamp=START + 110 * MINUTE),
    ]
    late = event(event_id="4", type="list_view", timestamp=START + 80 * MINUTE)
    later = event(event_id="5", type="login", timestamp=START + 10 * MINUTE)
    refund = event(event_id="6", type="refund", timestamp=START + 111 * MINUTE)
    counted = session(*first, *second, late, later, refund)
    assert {name: count for name, count in counted.items() if count} == {
        "session_start": START + 80 * MINUTE,
        "away_ms": 80 * MINUTE,
        "session_product_view": 1,
        "session_add_to_cart": 1,
        "session_list_view": 1,
    }


@pytest.mark.parametrize("events", [1, LATEST - 1, LATEST, LATEST + 1, 200])
def test_the_newest_sixteen_stay(events: int) -> None:
    story = [event(event_id=str(i), timestamp=START + i) for i in range(events)]
    kind = TYPE_CODE["product_view"]
    newest = range(events - 1, max(events - 1 - LATEST, -1), -1)
    assert acts_of(story) == [(START + i) * 32 + kind + 1 for i in newest]
    assert np.array(acts_of(story)).dtype == np.int64


def test_the_vector_tells_the_session_and_the_order_of_acts() -> None:
    story = [
        event(event_id="1", type="search", timestamp=START),
        event(event_id="2", type="product_view", timestamp=START + 60 * MINUTE),
        event(event_id="3", type="product_view", timestamp=START + 61 * MINUTE),
        event(event_id="4", type="add_to_cart", timestamp=START + 61 * MINUTE + 1_500),
        event(event_id="5", type="refund", timestamp=START + 62 * MINUTE),
    ]
    vector = fold_history([story]).vectors()[0]
    session = {
        scalar.name: float(vector[SESSION.start + i])
        for i, scalar in enumerate(SESSION_SCALARS)
        if vector[SESSION.start + i]
    }
    assert session == {
        "session_product_views": 2,
        "session_carts": 1,
        "session_events": 3,
        "session_seconds": 61.5,
        "away_seconds": 3600,
        "known_seconds": 3661.5,
    }
    view, cart, search = (1 + TYPE_CODE[name] for name in ("product_view", "add_to_cart", "search"))
    assert vector[KINDS].tolist() == [cart, view, view, search, *[0] * 12]
    assert vector[GAPS].tolist() == [1.5, 60, 3600, 0, *[0] * 12]
