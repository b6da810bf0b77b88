"""Sessions carry what was known when, and nothing that came later."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import Event
from feature_store.history.offline_fold import fold_history
from tests.training.persona_llm.shops import event, shopping_trip
from training.persona_llm.traces.sessions import sessions_of


def test_a_pause_of_half_an_hour_ends_a_session() -> None:
    events = [event("search", 0), event("search", 30), event("search", 60.1)]
    assert [len(session.events) for session in sessions_of([events])] == [2, 1]


def test_what_was_known_before_is_the_fold_of_what_came_before() -> None:
    first, second = shopping_trip(), shopping_trip(start=100)
    before, after = sessions_of([first + second])
    assert before.before is None
    assert (after.number, after.known_before) == (2, len(first))
    np.testing.assert_array_equal(after.before, fold_history([first]).vectors()[0])
    np.testing.assert_array_equal(before.after, fold_history([first + second]).vectors()[0])


def test_the_early_vector_knows_three_events_of_the_session() -> None:
    trip = shopping_trip()
    (session,) = sessions_of([trip])
    np.testing.assert_array_equal(session.early, fold_history([trip[:3]]).vectors()[0])


@pytest.mark.parametrize("type_", ["add_to_cart", "begin_checkout", "purchase", "view_cart"])
def test_there_is_no_early_vector_where_it_would_tell_the_outcome(type_: str) -> None:
    (session,) = sessions_of([[event("search", 0), event("search", 1), event(type_, 2), event("search", 3)]])
    assert session.early is None


def test_repeated_events_count_once() -> None:
    trip = shopping_trip()
    (session,) = sessions_of([trip, trip])
    assert session.events == trip


@given(st.integers(0, 2**32), st.integers(1, 9))
def test_the_split_into_batches_and_the_order_of_arrival_change_nothing(seed: int, size: int) -> None:
    events = [e for buyer in "abc" for start in (0, 200) for e in shopping_trip(buyer, start)]
    shuffled = random.Random(seed).sample(events, len(events))
    batches = [shuffled[i : i + size] for i in range(0, len(shuffled), size)]

    def told(given: list[list[Event]]) -> set[tuple[str, int, tuple[str, ...], bytes]]:
        return {
            (s.buyer, s.number, tuple(e.event_id for e in s.events), s.after.tobytes())
            for s in sessions_of(given)
        }

    assert told(batches) == told([events])
