"""Rows as another store would send them: differences that an encoder for unseen stores must ignore.

Stores differ in what is theirs alone: where their products lie in the hashed embedding, how many pages and
how much time a visit takes, which events their pixel sends at all. Trained on six stores, an encoder takes
such things for behaviour. So a share of the rows of each batch is moved to stores that do not exist (domain
randomisation; Tobin et al. 2017, arXiv 1703.06907): the levels of the axes are then computed anew, since
they are rules of the vector (axes.py), and what a buyer reached in the funnel stays.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import EMBEDDING_SIZE, EMBEDDINGS, MASKS, N_SCALARS, PRODUCT_SETS, SCALARS

Vectors = NDArray[np.float32]

_STORES: Final = 4  # a batch
_SPREAD: Final = 0.15
"""Deviation of the log of a factor of log1p: of ten page views, nine in ten stores show 5 to 20."""
_LEFT_OUT: Final = 0.1
"""Probability that a varied store leaves out products, or a field that some stores leave out."""
_FUNNEL: Final = [i for i, scalar in enumerate(SCALARS) if scalar.axis == "funnel"]
_SESSIONS: Final = [i for i, scalar in enumerate(SCALARS) if scalar.name == "sessions"]
_EMBEDDED: Final = len(PRODUCT_SETS) * EMBEDDING_SIZE
_NAMES: Final = [scalar.name for scalar in SCALARS]
_OPTIONAL: Final = np.array(
    [_NAMES.index(name) for name in ("distinct_categories", "list_views", "searches", "viewed_price")]
)
_PRODUCTS: Final = [_NAMES.index(name) for name in ("distinct_products", "distinct_categories")]


def in_other_stores(
    vectors: Vectors, ends: Vectors, share: float, random: np.random.Generator
) -> tuple[Vectors, Vectors, NDArray[np.int64]]:
    """Move a share of the rows to other stores; returns both columns and which rows were moved, int64 [m].

    vectors and ends float32 [n, 403], raw: a row and the same buyer at the end of the session, who are moved
    to the same store.
    """
    vectors, ends = vectors.copy(), ends.copy()
    moved = np.flatnonzero(random.random(len(vectors)) < share)
    for rows in np.array_split(moved, _STORES):
        factor, has_products = _scales(random), np.float32(random.random() >= _LEFT_OUT)
        factor[_PRODUCTS] *= has_products
        order = random.permutation(EMBEDDING_SIZE)
        sign = random.choice(np.array([-1.0, 1.0], dtype=np.float32), EMBEDDING_SIZE)
        for column in (vectors, ends):
            column[rows, :N_SCALARS] = np.expm1(np.log1p(column[rows, :N_SCALARS].clip(0)) * factor)
            sets = column[rows, EMBEDDINGS].reshape(len(rows), len(PRODUCT_SETS), EMBEDDING_SIZE)
            column[rows, EMBEDDINGS] = (has_products * sign * sets[:, :, order]).reshape(len(rows), _EMBEDDED)
            column[rows, MASKS] *= has_products
    return vectors, ends, moved


def _scales(random: np.random.Generator) -> Vectors:
    factor = np.exp(_SPREAD * random.normal(size=N_SCALARS)).astype(np.float32)
    factor[_FUNNEL + _SESSIONS] = 1.0
    factor[_OPTIONAL[random.random(len(_OPTIONAL)) < _LEFT_OUT]] = 0.0
    return factor
