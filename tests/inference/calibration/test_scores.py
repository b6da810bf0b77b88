from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from sklearn.metrics import log_loss as sk_log_loss

from inference.calibration.scores import auc, brier, calibration_error, kappa, log_loss
from tests.inference.calibration.streams import shop, truth


def test_the_measures_are_those_of_a_known_library() -> None:
    data, session = shop(400, 1.0, 0.0, seed=1)
    p = np.round(data.p, 1).clip(0.05, 0.95)  # ties
    assert auc(p, data.y, session).value == pytest.approx(roc_auc_score(data.y, p))
    assert log_loss(p, data.y) == pytest.approx(sk_log_loss(data.y, p))
    assert brier(p, data.y) == pytest.approx(float(np.mean((p - data.y) ** 2)))
    random = np.random.default_rng(2)
    said, came = random.integers(0, 4, 300), random.integers(0, 4, 300)
    assert kappa(said, came) == pytest.approx(cohen_kappa_score(said, came))


@pytest.mark.parametrize("sessions", [60, 500, 1_500])
def test_true_probabilities_have_no_error_left_whatever_the_number_of_sessions(sessions: int) -> None:
    found = []
    for seed in range(20):
        data, session = shop(sessions, 1.0, 0.0, seed, per_session=3)
        found.append(calibration_error(data.p, data.y, session).value)
    standard_error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * standard_error + 0.001


def test_the_error_of_wrong_probabilities_is_found() -> None:
    for seed in range(10):
        data, session = shop(3_000, 1.0, -0.6, seed, per_session=3)
        real = float(np.mean(data.p - truth(data.p, 1.0, -0.6)))
        error = calibration_error(data.p, data.y, session)
        assert real > 0.1
        assert real - 0.035 < error.value < real + 0.02  # by chance alone it would be .017 more
        assert 0.05 < error.low < error.value < error.high


def test_an_interval_of_true_probabilities_holds_0() -> None:
    covered = 0
    for seed in range(40):
        error = calibration_error(*_three_columns(seed))
        covered += error.low <= 0 <= error.high
    assert covered >= 34  # 95 % of 40 are 38; fewer than 34 has a chance under 1 %


def _three_columns(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    data, session = shop(800, 1.0, 0.0, seed, per_session=3)
    return data.p, data.y, session


def test_an_interval_of_the_auc_holds_the_truth_as_often_as_it_says() -> None:
    large, session = shop(100_000, 1.0, 0.0, seed=0)
    real = roc_auc_score(large.y, large.p)
    covered = 0
    for seed in range(1, 41):
        data, session = shop(300, 1.0, 0.0, seed)
        it = auc(data.p, data.y, session)
        covered += it.low <= real <= it.high
    assert covered >= 34


def test_what_cannot_be_said_is_not_a_number() -> None:
    few = np.full(9, 0.5)
    assert np.isnan(calibration_error(few, few > 0, np.arange(9)).value)
    assert np.isnan(auc(few, few > 0, np.arange(9)).value)
    assert np.isnan(kappa(np.zeros(5, np.int64), np.zeros(5, np.int64)))
    assert np.isnan(kappa(np.zeros(0, np.int64), np.zeros(0, np.int64)))
    assert np.isnan(log_loss(np.zeros(0), np.zeros(0)))
    assert np.isnan(brier(np.zeros(0), np.zeros(0)))
