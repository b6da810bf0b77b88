"""The space of types: what must not move a buyer in it."""

from __future__ import annotations

import numpy as np

from feature_store.fold.vector import N_SCALARS, SCALARS, VECTOR_SIZE
from training.types.space import fit_scale, type_points

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
