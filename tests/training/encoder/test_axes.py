"""Levels of the three axes by their definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.fold.vector import SCALARS, VECTOR_SIZE
from training.encoder.axes import HIGH, KNOTS, LOW, Axes, ByEvents, hat_weights

COLUMN = {scalar.name: i for i, scalar in enumerate(SCALARS)}


def shoppers(n: int = 3000, seed: int = 0) -> np.ndarray:
    """Buyers whose looks and products grow with their events, some faster than others."""
    random = np.random.default_rng(seed)
    vectors = np.zeros((n, VECTOR_SIZE), dtype=np.float32)
    vectors[:, 0] = 3 + random.geometric(0.1, n)
    vectors[:, COLUMN["active_seconds"]] = vectors[:, 0] * random.lognormal(3, 1, n)
    width = random.uniform(0.2, 1.0, n)
    for name in ("product_views", "distinct_products", "distinct_categories"):
        vectors[:, COLUMN[name]] = np.ceil(width * vectors[:, 0])
    return vectors


@given(st.lists(st.floats(0, 12), min_size=1, max_size=30))
def test_hat_weights_interpolate(logs: list[float]) -> None:
    weight = hat_weights(np.array(logs))
    assert (weight >= 0).all()
    np.testing.assert_allclose(weight.sum(axis=1), 1.0)
    np.testing.assert_allclose(weight @ KNOTS, np.clip(logs, KNOTS[0], KNOTS[-1]), atol=1e-9)


def test_peers_are_those_with_as_many_events() -> None:
    random = np.random.default_rng(1)
    logs = np.log1p(random.integers(1, 101, 20_000).astype(float))
    columns = np.stack([2.0 * logs + random.normal(size=len(logs)) * (0.5 + logs)], axis=1)
    told = ByEvents.fit(logs, columns).standardise(logs, columns)[:, 0]
    for low, high in ((0.5, 2.0), (2.0, 3.0), (3.0, 5.0)):
        part = told[(logs >= low) & (logs < high)]
        assert abs(part.mean()) < 0.1
        assert part.std() == pytest.approx(1.0, abs=0.1)


def test_exploration_is_not_engagement_again() -> None:
    vectors = shoppers()
    engagement, exploration = Axes.fit(vectors).scores(vectors)
    assert abs(np.corrcoef(engagement, exploration)[0, 1]) < 0.25
    assert np.corrcoef(engagement, vectors[:, COLUMN["distinct_products"]])[0, 1] > 0.5


def test_levels_are_terciles_of_the_training_buyers() -> None:
    vectors = shoppers()
    levels = Axes.fit(vectors).levels(vectors)
    for level in (levels.engagement, levels.exploration):
        np.testing.assert_allclose(np.bincount(level, minlength=3) / len(level), 1 / 3, atol=0.05)


def test_more_is_higher() -> None:
    axes = Axes.fit(shoppers())
    keen = np.zeros((2, VECTOR_SIZE), dtype=np.float32)
    keen[:, 0], keen[:, COLUMN["active_seconds"]] = (3, 60), (10, 9000)
    assert axes.levels(keen).engagement.tolist() == [LOW, HIGH]
    wide = np.zeros((2, VECTOR_SIZE), dtype=np.float32)
    wide[:, 0] = 10
    for name in ("product_views", "distinct_products", "distinct_categories"):
        wide[:, COLUMN[name]] = (2, 10)
    assert axes.levels(wide).exploration.tolist() == [LOW, HIGH]


def test_what_a_store_does_not_tell_says_nothing() -> None:
    vectors = shoppers()
    axes = Axes.fit(vectors)
    silent = vectors.copy()
    silent[:, [COLUMN["distinct_products"], COLUMN["distinct_categories"]]] = 0.0
    told, untold = axes.scores(vectors)[1], axes.scores(silent)[1]
    assert abs(told.mean() - untold.mean()) < 0.1
    assert np.corrcoef(told, untold)[0, 1] > 0.9


def test_purchase_is_the_depth_of_the_funnel() -> None:
    vectors = np.zeros((5, VECTOR_SIZE), dtype=np.float32)
    vectors[:, 0] = 5
    vectors[1:, COLUMN["carts"]] = 1
    vectors[2:, COLUMN["checkouts"]] = 1
    vectors[3, COLUMN["purchases"]] = 1
    assert Axes.fit(shoppers()).levels(vectors).purchase.tolist() == [0, 1, 2, 3, 2]


def test_fitting_on_briefest_buyers_alone_gives_levels() -> None:
    brief = shoppers(50)
    brief[:, 0] = 1
    levels = Axes.fit(brief).levels(brief)
    assert np.isfinite(Axes.fit(brief).scores(brief)[1]).all()
    assert levels.engagement.max() <= HIGH
