from __future__ import annotations

import numpy as np
import pytest

from inference.calibration.gate import LEAST_SESSIONS, is_better, judge
from inference.calibration.platt import UNCHANGED, Graded, Platt, fit_shop
from tests.inference.calibration.streams import shop


def test_a_shop_whose_forecasts_tell_and_can_be_calibrated_passes() -> None:
    passed = [judge(*shop(1_000, 0.8, -0.7, seed, per_session=3)) for seed in range(10)]
    assert sum(gate.passed for gate in passed) >= 9
    assert all(gate.loss is not None and gate.loss < (gate.base_loss or 0) for gate in passed)


def test_forecasts_that_tell_nothing_do_not_pass() -> None:
    gates = [judge(*shop(1_000, 0.0, -0.2, seed, per_session=3)) for seed in range(10)]
    assert sum(gate.passed for gate in gates) <= 2  # 2.5 % of them are above chance by chance
    assert "AUC" in str(next(gate.why for gate in gates if not gate.passed))


def test_forecasts_that_point_the_wrong_way_do_not_pass() -> None:
    assert not any(judge(*shop(1_000, -0.7, 0.0, seed, per_session=3)).passed for seed in range(5))


def test_a_shop_that_changes_does_not_pass() -> None:
    before, first = shop(700, 1.0, 1.5, seed=1)
    after, second = shop(700, 1.0, -1.5, seed=2)
    both = Graded(*(np.concatenate(pair) for pair in zip(before, after, strict=True)))
    gate = judge(both, np.concatenate([first, second + 10_000]))
    assert not gate.passed
    assert "calibration error" in str(gate.why)


@pytest.mark.parametrize("sessions", [0, 1, 10, LEAST_SESSIONS - 1])
def test_too_few_sessions_are_said_to_be_too_few(sessions: int) -> None:
    gate = judge(*shop(sessions, 1.0, 0.0, seed=1, per_session=3))
    assert not gate.passed
    assert gate.sessions == sessions
    assert gate.auc is None
    assert f"{LEAST_SESSIONS} are needed" in str(gate.why)


@pytest.mark.parametrize("came", [True, False])
def test_one_class_is_said_to_be_one(came: bool) -> None:
    data, session = shop(600, 1.0, 0.0, seed=1)
    gate = judge(data._replace(y=np.full(600, came)), session)
    assert not gate.passed
    assert "one class" in str(gate.why)


def test_a_new_record_is_worth_it_only_where_it_helps() -> None:
    data, _ = shop(2_000, 0.8, -0.7, seed=1)
    fit = fit_shop(data)
    assert is_better(None, fit, data)
    assert is_better(UNCHANGED, fit, data)
    assert not is_better(fit, Platt(fit.a * 1.01, fit.b), data)
