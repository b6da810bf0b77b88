"""The law of what is sent again: it changes nothing, whatever its size, with its limits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import Event
from feature_store.fold.behavior import REMEMBERED_IDS
from feature_store.fold.memory import MAX_BLOCKS
from feature_store.fold.state import MAX_STATE_BYTES
from feature_store.history.offline_fold import fold_history
from tests.feature_store.fold.plain import plain_fold
from tests.feature_store.fold.test_behavior import counters
from tests.strategies import MINUTE, START, event, histories

REMEMBERED = MAX_BLOCKS * REMEMBERED_IDS
"""Ids that are remembered at least."""
ONE_REQUEST = 2_000
"""Items of one request to the API at most (SIMPERSONA_API_MAX_ITEMS)."""


def purchases(count: int, first: int = 0) -> list[Event]:
    return [
        event(event_id=f"e{n}", type="purchase", value=1.0, timestamp=START + n * MINUTE)
        for n in range(first, first + count)
    ]


@pytest.mark.parametrize("count", [64, 65, 129, 500, ONE_REQUEST])
def test_a_request_sent_twice_counts_once(count: int) -> None:
    request = purchases(count)
    state = counters(fold_history([request, request]))
    assert (state["purchase"], state["events"], state["order_value"]) == (count, count, 100 * count)


def test_a_file_of_any_length_sent_twice_counts_once() -> None:
    file = purchases(3 * REMEMBERED)
    assert fold_history([file, file]).states() == fold_history([file]).states()


@pytest.mark.parametrize("between", [0, REMEMBERED - ONE_REQUEST])
def test_a_request_that_got_other_times_counts_once_while_its_ids_are_remembered(between: int) -> None:
    """As where the time of receipt stands in for one that the sender left out."""
    request, others = purchases(ONE_REQUEST), purchases(between, first=5_000)
    later = [event(event_id=e.event_id, type=e.type, timestamp=START + 9_000 * MINUTE) for e in request]
    assert fold_history([request, others, later]).states() == fold_history([request, others]).states()


@given(st.data())
def test_any_parts_sent_again_at_any_later_moment_change_nothing(data: st.DataObject) -> None:
    events = data.draw(histories(ids=10_000))
    delivered: list[Event] = []
    for i, e in enumerate(events):
        delivered.append(e)
        start = data.draw(st.integers(0, i))
        delivered += events[start : data.draw(st.integers(start, i + 1))]
    once = {e.event_id: e for e in reversed(events)}
    if len(once) == len(events):
        assert fold_history([delivered]).states() == fold_history([events]).states()


@pytest.mark.parametrize("seed", range(3))
def test_long_lives_equal_the_plain_definition(seed: int) -> None:
    """Far beyond what is remembered: late events, events from the future, stretches sent again."""
    roll = random.Random(seed)
    now, events, sent = START, list[Event](), list[Event]()
    while len(sent) < 2 * REMEMBERED:
        now += roll.choice((0, 1, MINUTE))
        at = roll.choice((now, now, now, now - 90 * MINUTE, now - roll.randrange(9_000) * MINUTE))
        at = now + 10**9 if roll.random() < 0.001 else at
        sent.append(event(event_id=f"e{len(sent)}", timestamp=max(at, 1)))
        events.append(sent[-1])
        if roll.random() < 0.01:
            start = roll.randrange(len(sent))
            events += sent[start : start + roll.choice((1, 10, 300))]
    history = fold_history([events[:3_000], events[3_000:]])
    plain = plain_fold(events)["acme", "b1"]
    assert counters(history) == plain.counters
    assert plain.counters["events"] > REMEMBERED
    assert plain.counters["forgotten_until"] > 0
    (row,) = history.states().values()
    assert len(row) <= MAX_STATE_BYTES


def test_events_older_than_all_that_is_remembered_are_taken_for_repeats() -> None:
    """The price of the law: only of buyers with more events than are remembered."""
    old = event(event_id="late", timestamp=START + MINUTE + 1)
    enough, more = purchases(REMEMBERED), purchases(2 * REMEMBERED)
    assert counters(fold_history([[*enough, old]]))["events"] == REMEMBERED + 1
    assert counters(fold_history([[*more, old]]))["events"] == 2 * REMEMBERED


def test_one_event_from_the_future_costs_no_later_event() -> None:
    future = event(event_id="future", timestamp=START + 10**12)
    events = [future, *purchases(3 * REMEMBERED)]
    assert counters(fold_history([events]))["events"] == len(events)
