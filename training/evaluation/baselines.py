"""What a bundle is held against: k-means on its vectors, and rules that name a stratum without any code.

Every coder is fitted on raw vectors float32 [n, W] of training buyers and gives codes int64 [n] in
[0, CODES). Spaces: `standard` is the paper's own setting (its k-means saw all 403 columns standard-scaled);
in `balanced` the three embeddings together vary half as much as the 16 scalars together.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from feature_store.fold.funnel import STRATA
from feature_store.fold.vector import EMBEDDINGS, MASKS, N_SCALARS
from inference.encoders.graph import CODES

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Space = Callable[[Vectors], Floats]

EMBEDDING_WEIGHT: Final = 0.5
_FLAT: Final = 1e-6
_MOST_SIGMAS: Final = 6.0


class Coder(Protocol):
    """Gives buyers codes."""

    def codes(self, vectors: Vectors) -> Ints:
        """Codes int64 [n] of raw vectors float32 [n, W]."""
        ...


def logs(vectors: Vectors) -> Floats:
    """Vectors with their scalars' transform (log1p), float64 [n, W]."""
    out = vectors.astype(np.float64)
    out[:, :N_SCALARS] = np.log1p(np.maximum(out[:, :N_SCALARS], 0.0))
    return out


def standard_space(vectors: Vectors, columns: int = MASKS.stop) -> Space:
    """The first `columns` columns, each brought to mean 0 and variance 1 on the given buyers."""
    scaler = StandardScaler().fit(logs(vectors)[:, :columns])
    return lambda rows: np.asarray(scaler.transform(logs(rows)[:, :columns]))


def balanced_space(vectors: Vectors) -> Space:
    """Blocks of equal say: the 16 scalars' log1p with mean 0 and variance 1, within 6 deviations, and the
    three embeddings, together half as varied; the masks as they are."""
    scaler = StandardScaler().fit(logs(vectors)[:, :N_SCALARS])
    varies = float(vectors[:, EMBEDDINGS].var(axis=0, dtype=np.float64).sum())
    scale = (EMBEDDING_WEIGHT * N_SCALARS / varies) ** 0.5 if varies > _FLAT else 1.0

    def space(rows: Vectors) -> Floats:
        scalars = scaler.transform(logs(rows)[:, :N_SCALARS]).clip(-_MOST_SIGMAS, _MOST_SIGMAS)
        return np.hstack([scalars, scale * rows[:, EMBEDDINGS], rows[:, MASKS]])

    return space


class Clusters:
    """k-means in a space: codes are the nearest centres."""

    def __init__(self, space: Space, kmeans: KMeans | MiniBatchKMeans) -> None:
        self._space = space
        self._kmeans = kmeans

    def codes(self, vectors: Vectors) -> Ints:
        """Nearest centres int64 [n]."""
        with threadpool_limits(1):
            return np.asarray(self._kmeans.predict(self._space(vectors)), dtype=np.int64)


def lloyd_kmeans(space: Space, vectors: Vectors, seed: int) -> Clusters:
    """k-means++ and Lloyd steps until nothing moves (at most 300)."""
    return fit_kmeans(space, vectors, KMeans(centres(vectors), n_init=1, random_state=seed))


def fit_kmeans(space: Space, vectors: Vectors, kmeans: KMeans | MiniBatchKMeans) -> Clusters:
    """Fit k-means on raw vectors float32 [n, W], as a space shows them."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # buyers who are alike: fewer centres in use
        kmeans.fit(space(vectors))
    return Clusters(space, kmeans)


def centres(vectors: Vectors) -> int:
    """256, or one per buyer where there are fewer."""
    return min(CODES, len(vectors))


def everyone_looks(vectors: Vectors) -> Ints:
    """Stratum D for all, int64 [n]."""
    return np.full(len(vectors), STRATA.index("D"), dtype=np.int64)


def mask_rule(vectors: Vectors) -> Ints:
    """The stratum by the masks: A where something was purchased, C where something was carted, else D."""
    masks = vectors[:, MASKS] > 0
    choices = [STRATA.index("A"), STRATA.index("C")]
    return np.select([masks[:, 2], masks[:, 1]], choices, STRATA.index("D")).astype(np.int64)
