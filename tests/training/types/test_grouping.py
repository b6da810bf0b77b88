"""From buyers to groups: what must not move a point; weighted Ward against scipy's where both apply."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from feature_store.fold.vector import N_SCALARS, SCALARS, VECTOR_SIZE
from training.types.grouping import fit_scale, settle, type_points, ward_cuts
from training.types.measures import scatter

PRICE = [scalar.name for scalar in SCALARS].index("viewed_price")


def test_another_currency_is_no_other_behaviour() -> None:
    random = np.random.default_rng(0)
    vectors = np.zeros((2000, VECTOR_SIZE), dtype=np.float32)
    vectors[:, :N_SCALARS] = random.poisson(3, (len(vectors), N_SCALARS))
    vectors[:, PRICE] = 0
    stores = random.choice(["a", "b"], len(vectors))
    priced = random.random(len(vectors)) < 0.5
    vectors[priced, PRICE] = random.lognormal(3, 1, priced.sum())
    yen = vectors.copy()
    yen[stores == "a", PRICE] *= 10_000
    scale = fit_scale(vectors)
    before, after = type_points(vectors, stores, scale), type_points(yen, stores, scale)
    assert (before[~priced, PRICE] == 0).all()
    # log1p is not quite log, so cheap goods move a little.
    assert np.abs(before - after).max() < 0.5
    assert np.corrcoef(before[priced, PRICE], after[priced, PRICE])[0, 1] > 0.99


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
