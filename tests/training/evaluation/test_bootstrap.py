from __future__ import annotations

import numpy as np
import pytest

from training.evaluation import measures as m
from training.evaluation.bootstrap import Bootstrap, interval


def mean_of(values: np.ndarray):  # type: ignore[no-untyped-def]
    return lambda weights: weights @ values / weights.sum(axis=1)


def test_a_model_differs_from_itself_by_exactly_nothing() -> None:
    codes = np.random.default_rng(0).integers(0, 20, 200)
    bootstrap = Bootstrap(200, seed=1)
    assert bootstrap.difference(lambda w: m.perplexity(codes, w), lambda w: m.perplexity(codes, w)) == (
        0,
        0,
        0,
    )


def test_the_interval_of_a_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(0).normal(size=900)
    estimate = Bootstrap(900, seed=0, samples=2000).estimate(mean_of(values))
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * values.std() / 30, rel=0.1)


def test_samples_depend_on_the_seed_alone() -> None:
    values = np.arange(50.0)
    assert (Bootstrap(50, 3).values(mean_of(values)) == Bootstrap(50, 3).values(mean_of(values))).all()
    assert (Bootstrap(50, 3).values(mean_of(values)) != Bootstrap(50, 4).values(mean_of(values))).any()


def test_each_store_keeps_its_number_of_buyers() -> None:
    store = np.array([0] * 5 + [1] * 30)
    drawn: list[np.ndarray] = []
    Bootstrap(35, 0, strata=store).values(lambda w: drawn.append(w) or w.sum(axis=1))  # type: ignore[func-returns-value]
    weights = np.concatenate(drawn)
    assert (weights[:, :5].sum(axis=1) == 5).all()
    assert (weights[:, 5:].sum(axis=1) == 30).all()


def test_pairing_takes_out_what_buyers_have_in_common() -> None:
    random = np.random.default_rng(0)
    hard = 3 * random.normal(size=400)
    bootstrap = Bootstrap(400, 0)
    apart = bootstrap.difference(mean_of(hard + 0.1), mean_of(hard))
    alone = bootstrap.estimate(mean_of(hard))
    assert apart.low == pytest.approx(0.1)
    assert alone.high - alone.low > 0.4


def test_a_figure_that_does_not_exist_has_no_interval() -> None:
    assert np.isnan(interval(float("nan"), np.array([1.0, 2.0]))[1])
