"""The measures of a grouping, against scikit-learn's on what both can do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from training.types.measures import found_again, group_means, rand_index, silhouette


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_rand_index_is_that_of_the_buyers(seed: int, groups: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.integers(0, groups, 20), random.integers(0, 3, 20)
    weights = random.integers(1, 9, 20)
    expected = adjusted_rand_score(np.repeat(a, weights), np.repeat(b, weights))
    assert rand_index(a, b, weights.astype(float)) == pytest.approx(expected)


def test_a_group_is_found_again_by_its_share_of_common_buyers() -> None:
    a = np.array([0, 0, 1, 1])
    assert found_again(a, a, np.ones(4)).tolist() == [1.0, 1.0]
    assert found_again(a, np.array([0, 1, 1, 1]), np.ones(4)).tolist() == [0.5, pytest.approx(2 / 3)]


def test_silhouette_is_one_for_points_on_their_centres() -> None:
    points = np.array([[0.0], [0.0], [9.0], [9.0]])
    assert silhouette(points, np.array([0, 0, 1, 1]), np.ones(4)) == 1.0
    assert silhouette(points, np.array([0, 1, 0, 1]), np.ones(4)) == 0.0
    assert silhouette(points, np.zeros(4, np.int64), np.ones(4)) == 0.0


def test_means_by_group() -> None:
    points = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    means = group_means(points, np.array([0, 2, 2]), 3, np.array([1.0, 1.0, 3.0]))
    assert means.tolist() == [[1.0, 2.0], [0.0, 0.0], [4.5, 5.5]]
