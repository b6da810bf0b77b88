"""The committed figures are what the fit makes of the real data, and the fit finds what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_store.contract.events import EVENT_TYPES
from ops.traffic import TrafficConfig, generate
from ops.traffic.buyer_types import BUYER_TYPES, start_distribution, transition_matrix
from ops.traffic.config import Figures, figures
from ops.traffic.fit import fit, mixture_weights
from ops.traffic.measure import Measured, frame_of, measure
from tests.strategies import START, event


@pytest.fixture(scope="module")
def fitted_now(shared_data: Path) -> tuple[Figures, dict[str, Measured]]:
    return fit(shared_data)


def test_the_committed_figures_are_those_of_the_data(
    fitted_now: tuple[Figures, dict[str, Measured]],
) -> None:
    fitted, _ = fitted_now
    committed = figures()
    assert fitted.return_hours_median == committed.return_hours_median
    for ours, theirs in zip(fitted.profiles, committed.profiles, strict=True):
        assert ours.type_mix == pytest.approx(theirs.type_mix, abs=0.002)
        assert ours.pace == pytest.approx(theirs.pace, rel=0.01)
        unfitted = ("name", "products", "categories", "price_log_mean", "zipf", "persistence", "event_types")
        assert [getattr(ours, name) for name in unfitted] == [getattr(theirs, name) for name in unfitted]


def test_generated_sessions_are_as_long_as_the_real_ones(
    fitted_now: tuple[Figures, dict[str, Measured]],
) -> None:
    """For the stores whose sessions the report says are met: the mean length within a sixth."""
    _, real = fitted_now
    config = TrafficConfig(buyers=12_000, hours=24 * 7, stores=6, late=0, duplicates=0)
    by_store = {profile.name: profile for profile in figures().profiles}
    events = [one for batch in generate(config, 2) for one in batch]
    for name in ("electronics", "fashion", "marketplace"):
        seen = real[by_store[name].fitted_to].event_mix
        ours = measure(frame_of(one for one in events if one.store == name and one.type in seen))
        target = real[by_store[name].fitted_to]
        assert ours.events_per_session[0] == pytest.approx(target.events_per_session[0], rel=1 / 6)
        assert ours.single_event_sessions == pytest.approx(target.single_event_sessions, abs=0.04)


def test_mixture_weights_are_recovered() -> None:
    rng = np.random.default_rng(0)
    likelihood = rng.dirichlet(np.full(72, 0.3), len(BUYER_TYPES))
    weights = rng.dirichlet(np.ones(len(BUYER_TYPES)))
    counts = rng.multinomial(200_000, weights @ likelihood).astype(np.float64)
    prior = np.array([0.35, 0.2, 0.1, 0.12, 0.08, 0.03, 0.05, 0.07])
    found = mixture_weights(counts, likelihood)
    assert found == pytest.approx((weights + 0.05 * prior) / 1.05, abs=0.02)


def test_chains_are_probabilities_and_every_row_can_leave() -> None:
    assert start_distribution().sum(axis=1) == pytest.approx(np.ones(len(BUYER_TYPES)))
    for noise, persistence in ((0.0, 1.0), (0.5, 4.0)):
        moves = transition_matrix(noise, persistence)
        assert moves.shape == (len(BUYER_TYPES), len(EVENT_TYPES), len(EVENT_TYPES) + 1)
        assert moves.sum(axis=2) == pytest.approx(np.ones(moves.shape[:2]))
        assert (moves[:, :, -1] > 0).all()


def test_measures_of_a_hand_counted_stream() -> None:
    stream = [
        event(event_id="1", session_id="s1", product_id="p1", price=10.0),
        event(event_id="2", session_id="s1", type="add_to_cart", timestamp=START + 4_000, product_id="p1"),
        event(event_id="2", session_id="s1", type="add_to_cart", timestamp=START + 4_000, product_id="p1"),
        event(event_id="3", session_id="s2", timestamp=START + 9_000_000, product_id="p2", price=30.0),
        event(event_id="4", buyer="b2", session_id="s1", type="purchase"),
    ]
    found = measure(frame_of(stream))
    assert (found.events, found.sessions, found.products) == (4, 3, 2)
    assert found.single_event_sessions == pytest.approx(2 / 3)
    assert found.sessions_per_buyer == pytest.approx(1.5)
    assert (found.view_to_cart, found.cart_to_checkout) == (0.5, None)
    assert found.sessions_with_purchase == pytest.approx(1 / 3)
    assert found.gap_seconds == (4.0, 4.0, 4.0)
    assert found.price == (15.0, 20.0, 25.0)
