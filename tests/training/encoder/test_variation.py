"""Rows moved to stores that do not exist: which numbers may change, and which must not."""

from __future__ import annotations

import numpy as np

from feature_store.fold.funnel import strata
from feature_store.fold.vector import EMBEDDINGS, MASKS, SCALARS
from training.encoder.dataset import BuyerVectors
from training.encoder.variation import in_other_stores

DISTINCT = [i for i, scalar in enumerate(SCALARS) if scalar.name.startswith("distinct_")]
FUNNEL = [i for i, scalar in enumerate(SCALARS) if scalar.axis == "funnel"]


def moved(buyers: BuyerVectors, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return in_other_stores(buyers.vectors, buyers.vectors, share, np.random.default_rng(seed))


def test_a_share_of_the_rows_moves_and_the_others_stay(buyers: BuyerVectors) -> None:
    before = buyers.vectors.copy()
    vectors, _, rows = moved(buyers, 0.3)
    stay = np.setdiff1d(np.arange(len(vectors)), rows)
    assert 0.25 < len(rows) / len(vectors) < 0.35
    assert np.array_equal(vectors[stay], buyers.vectors[stay])
    assert (vectors[rows] != buyers.vectors[rows]).any(axis=1).all()
    assert np.array_equal(buyers.vectors, before)  # copies: the data itself is as it was


def test_no_share_moves_nothing(buyers: BuyerVectors) -> None:
    vectors, _, rows = moved(buyers, 0.0)
    assert len(rows) == 0
    assert np.array_equal(vectors, buyers.vectors)


def test_what_was_reached_in_the_funnel_stays(buyers: BuyerVectors) -> None:
    vectors, _, _ = moved(buyers, 1.0)
    np.testing.assert_allclose(vectors[:, FUNNEL], buyers.vectors[:, FUNNEL], rtol=1e-5)
    assert np.array_equal(strata(vectors), strata(buyers.vectors))


def test_products_of_one_store_keep_their_geometry(buyers: BuyerVectors) -> None:
    vectors, _, rows = moved(buyers, 1.0)
    one = np.array_split(rows, 4)[0]
    before, after = buyers.vectors[one, EMBEDDINGS], vectors[one, EMBEDDINGS]
    np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-4)
    assert np.abs(after - before).max() > 0.1
    assert np.array_equal(vectors[one, MASKS], buyers.vectors[one, MASKS])


def test_a_store_that_tells_no_products_has_no_mask_either(buyers: BuyerVectors) -> None:
    untold = 0
    for seed in range(10):
        vectors, _, rows = moved(buyers, 1.0, seed)
        for store in np.array_split(rows, 4):
            if not vectors[store, MASKS].any():
                untold += 1
                assert not vectors[store, EMBEDDINGS].any()
                assert not vectors[np.ix_(store, DISTINCT)].any()
            else:
                assert np.array_equal(vectors[store, MASKS], buyers.vectors[store, MASKS])
    assert 0 < untold < 20


def test_a_row_and_its_end_move_to_the_same_store(buyers: BuyerVectors) -> None:
    vectors, ends, _ = moved(buyers, 0.5)
    assert np.array_equal(vectors, ends)


def test_the_same_seed_moves_the_same(buyers: BuyerVectors) -> None:
    assert np.array_equal(moved(buyers, 0.5, 3)[0], moved(buyers, 0.5, 3)[0])
    assert not np.array_equal(moved(buyers, 0.5, 3)[0], moved(buyers, 0.5, 4)[0])
