from __future__ import annotations

import numpy as np
import pytest

from feature_store.contract.events import EVENT_TYPES
from ops.traffic import TrafficConfig, generate
from ops.traffic.buyer_types import EXIT, TYPE_NAMES, transition_matrix
from ops.traffic.oracle import _through_unsent, posterior, true_types

CONFIG = TrafficConfig(buyers=1500, hours=24 * 7)


def test_moves_through_unsent_events_are_a_distribution_over_the_sent() -> None:
    moves = transition_matrix(noise=0.05, persistence=1.0)
    sent = np.array([name not in ("page_view", "add_payment_info") for name in EVENT_TYPES])
    through = _through_unsent(moves, sent)
    left = np.append(sent, True)
    assert through[:, :, left].sum(axis=2) == pytest.approx(np.ones(through.shape[:2]))
    assert through.shape == (len(TYPE_NAMES), EXIT, EXIT + 1)


def test_every_event_sent_changes_nothing() -> None:
    moves = transition_matrix(noise=0.05, persistence=1.0)
    assert (_through_unsent(moves, np.ones(EXIT, dtype=bool)) == moves).all()


def test_the_oracle_knows_more_with_every_event_and_beats_the_mix() -> None:
    known = true_types(CONFIG, seed=4)
    told = posterior(CONFIG, 4, generate(CONFIG, 4), (1, 3, 10))
    came_far = set(told[10])
    assert came_far == set(told[1]) & came_far  # who came to event 10 came to event 1

    def right(events: int) -> float:
        return float(np.mean([told[events][key] == known[key] for key in came_far]))

    commonest = np.bincount([known[key] for key in came_far]).max() / len(came_far)
    assert right(1) < right(3) < right(10) <= right(0) + 0.05
    assert right(10) > commonest + 0.1


def test_truth_is_named_for_everyone_who_was_seen() -> None:
    known = true_types(CONFIG, seed=4)
    assert set(posterior(CONFIG, 4, generate(CONFIG, 4), ())[0]) <= set(known)
    assert set(known.values()) <= set(range(len(TYPE_NAMES)))
