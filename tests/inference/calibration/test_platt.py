from __future__ import annotations

import numpy as np
import pytest

from inference.calibration.platt import UNCHANGED, Graded, fit_shop, fit_shops
from inference.calibration.scores import calibration_error, log_loss
from tests.inference.calibration.streams import shop, truth


def test_a_shop_with_many_sessions_gets_its_own_slope_and_intercept() -> None:
    data, _ = shop(40_000, 0.7, -0.9, seed=1)
    found = fit_shop(data)
    assert found.a == pytest.approx(0.7, abs=0.03)
    assert found.b == pytest.approx(-0.9, abs=0.05)


def test_a_shop_without_sessions_gets_that_of_all_shops_and_no_shops_change_nothing() -> None:
    nothing = Graded(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0))
    shops = [shop(3_000, 0.8, -0.5, seed)[0] for seed in range(4)]
    *_, lent = fit_shops([*shops, nothing])
    assert lent.a == pytest.approx(0.8, abs=0.05)
    assert lent.b == pytest.approx(-0.5, abs=0.08)
    assert fit_shops([]) == []
    assert fit_shop(nothing) == UNCHANGED


def test_ten_sessions_move_little_away_from_the_other_shops() -> None:
    shops = [shop(3_000, 0.8, -0.5, seed)[0] for seed in range(5)]
    tiny = shop(10, 0.8, 2.0, seed=9)[0]
    *_, found = fit_shops([*shops, tiny])
    assert abs(found.b + 0.5) < abs(fit_shop(tiny).b + 0.5) / 2


def test_shrinking_helps_small_shops_on_sessions_they_have_not_seen() -> None:
    random = np.random.default_rng(3)
    own, shrunk, raw = [], [], []
    for seed in range(12):
        params = [(0.8 + random.normal(0, 0.1), -0.5 + random.normal(0, 0.2)) for _ in range(6)]
        sizes = [2_000, 2_000, 2_000, 60, 60, 60]
        shops = [
            shop(n, a, b, 100 * seed + i)[0] for i, (n, (a, b)) in enumerate(zip(sizes, params, strict=True))
        ]
        fits = fit_shops(shops)
        for i in range(3, 6):
            later = shop(4_000, *params[i], 100 * seed + 50 + i)[0]
            own.append(log_loss(fit_shop(shops[i]).apply(later.p), later.y))
            shrunk.append(log_loss(fits[i].apply(later.p), later.y))
            raw.append(log_loss(later.p, later.y))
    assert np.mean(shrunk) < np.mean(own) < np.mean(raw)


def test_after_500_sessions_an_unseen_shop_is_calibrated_on_later_ones() -> None:
    """The bar of a shop that was not trained on: at most .04, on 2,000 later sessions."""
    errors = []
    for seed in range(8):
        data, _ = shop(500, 0.6, -1.0, seed, per_session=3)
        later, session = shop(2_000, 0.6, -1.0, 50 + seed, per_session=3)
        assert calibration_error(later.p, later.y, session).value > 0.1
        errors.append(calibration_error(fit_shop(data).apply(later.p), later.y, session).value)
    assert max(errors) <= 0.04


def test_the_slope_never_turns_round_and_nothing_stays_nothing() -> None:
    data, _ = shop(3_000, -1.0, 0.0, seed=1)
    assert fit_shop(data).a > 0
    assert np.isnan(UNCHANGED.apply(np.array([np.nan])))[0]
    assert truth(np.array([0.3]), 1.0, 0.0) == pytest.approx(UNCHANGED.apply(np.array([0.3])))


def test_a_probability_of_0_or_1_that_is_wrong_costs_a_finite_sum() -> None:
    data = Graded(np.array([0.0, 1.0, 0.5]), np.array([True, False, True]), np.ones(3))
    assert np.isfinite(fit_shop(data)).all()
