"""Weighted Ward and the measures of a grouping, against scipy's and scikit-learn's on what both can do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

from training.types.ward import found_again, group_means, rand_index, scatter, settle, silhouette, ward_cuts


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


@given(st.integers(0, 2**32 - 1))
def test_with_equal_weights_it_is_plain_ward(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(30, 4))
    tree = linkage(points, "ward")
    for count, labels in ward_cuts(points, np.ones(30), 2, 8).items():
        assert same_partition(labels, fcluster(tree, count, "maxclust"))


@given(st.integers(0, 2**32 - 1))
def test_a_weight_is_as_many_equal_points(seed: int) -> None:
    random = np.random.default_rng(seed)
    points, weights = random.normal(size=(12, 3)), random.integers(1, 6, 12)
    repeated = linkage(np.repeat(points, weights, axis=0), "ward")
    for count, labels in ward_cuts(points, weights.astype(float), 2, 6).items():
        expected = fcluster(repeated, count, "maxclust")
        assert same_partition(np.repeat(labels, weights), expected)


def test_codes_without_weight_are_in_no_group() -> None:
    weights = np.array([1.0, 0.0, 2.0, 0.0, 3.0])
    cuts = ward_cuts(np.arange(10.0).reshape(5, 2), weights, 2, 9)
    assert sorted(cuts) == [2, 3]
    assert all((labels >= 0).tolist() == [True, False, True, False, True] for labels in cuts.values())


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


@given(st.integers(0, 2**32 - 1))
def test_settled_codes_lie_nearest_their_own_centre_and_nothing_got_worse(seed: int) -> None:
    random = np.random.default_rng(seed)
    points, weights = random.normal(size=(40, 3)), random.integers(1, 50, 40).astype(float)
    weights[random.random(40) < 0.2] = 0.0

    before = ward_cuts(points, weights, 6, 6)[6]
    after = settle(before, points, weights)
    assert (settle(after, points, weights) == after).all()
    assert ((after >= 0) == (weights > 0)).all()
    assert len(np.unique(after[after >= 0])) == 6
    assert scatter(after, points, weights) <= scatter(before, points, weights) + 1e-9
