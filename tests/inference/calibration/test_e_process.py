from __future__ import annotations

import numpy as np
import pytest

from inference.calibration.e_process import ALARM, ALTERNATIVES, EProcess, log_ratios
from inference.calibration.scores import sigmoid
from ops.drift.measures import psi
from tests.inference.calibration.streams import shop

STREAMS = 1_000
SESSIONS = 1_000


def test_of_1000_true_streams_no_more_alarm_than_the_bound_allows() -> None:
    """Ville: the chance of ever reaching 1 / alpha is at most alpha, looked at after each session."""
    highest = np.empty(STREAMS)
    for seed in range(STREAMS):
        data, _ = shop(SESSIONS, 1.0, 0.0, seed)
        process = EProcess()
        process.add(data.p, data.y)
        highest[seed] = process.highest
    rates = {alpha: float(np.mean(highest >= 1 / alpha)) for alpha in (0.2, 0.1, 0.05, 0.01)}
    print(rates, int((highest >= ALARM).sum()), "of 1,000 reach the alarm")
    for alpha, rate in rates.items():
        assert rate <= alpha
    assert (highest >= ALARM).sum() <= 4  # 1 is expected at most; more than 4 has a chance under 0.4 %


def test_each_bet_is_fair_where_the_probability_is_true() -> None:
    p = np.linspace(0.001, 0.999, 97)
    came, not_came = (np.exp(log_ratios(p, np.full(97, which))) for which in (True, False))
    expected = p[:, None] * came + (1 - p[:, None]) * not_came
    assert np.allclose(expected, 1.0)
    assert len(ALTERNATIVES) == len(np.unique(ALTERNATIVES, axis=0))


def test_how_the_sessions_are_handed_over_changes_nothing() -> None:
    data, _ = shop(950, 0.6, 0.4, seed=4)
    whole, parts = EProcess(), EProcess()
    evidence = whole.add(data.p, data.y)
    again = [parts.add(data.p[i : i + 37], data.y[i : i + 37]) for i in range(0, 950, 37)]
    assert np.allclose(evidence, np.concatenate(again), rtol=1e-9)
    assert (whole.sessions, whole.evidence) == (950, pytest.approx(parts.evidence))
    assert len(whole.add(np.zeros(0), np.zeros(0, np.bool_))) == 0


def test_a_planted_miscalibration_is_caught_and_psi_sees_none() -> None:
    """Half way, sessions begin to end otherwise; what goes in, and what is said, is as before."""
    waited, moved = [], []
    for seed in range(20):
        before, _ = shop(2_000, 1.0, 0.0, seed)
        after, _ = shop(2_000, 1.0, -0.6, 1_000 + seed)
        process = EProcess()
        process.add(before.p, before.y)
        evidence = process.add(after.p, after.y)
        assert process.is_alarmed
        waited.append(int(np.argmax(evidence >= ALARM)) + 1)
        bins = [np.histogram(part, bins=10, range=(0, 1))[0] for part in (before.p, after.p)]
        moved.append(psi(*bins))
    print(
        f"caught after {np.median(waited):.0f} sessions (median), {max(waited)} at most; PSI {max(moved):.3f}"
    )
    assert max(moved) < 0.1
    assert np.median(waited) <= 500


def test_a_probability_of_0_or_1_that_is_wrong_ends_no_process() -> None:
    process = EProcess()
    process.add(np.array([0.0, 1.0]), np.array([True, False]))
    assert np.isfinite(process.evidence)
    process.add(np.full(5_000, 0.99), np.zeros(5_000, np.bool_))
    assert process.is_alarmed
    assert np.isfinite(process.evidence)
    assert sigmoid(np.array([0.0]))[0] == 0.5
