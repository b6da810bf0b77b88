"""What an encoder is held against: ways to give buyers codes, and ways to say their stratum without any.

Every coder is fitted on raw vectors float32 [n, 403] of training buyers and gives codes int64 [n] in
[0, CODES). Spaces: `standard` is the paper's own setting (its k-means saw all 403 columns standard-scaled);
`balanced` is training.encoder.scaling.Scaling, in which the three embeddings together vary half as much
as the 16 scalars together.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import nn

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import MASKS, N_SCALARS, VECTOR_SIZE
from inference.encoders.graph import CODES, LATENT_SIZE
from training.encoder.axes import EVENTS, FUNNEL_COLUMNS, Axes
from training.encoder.scaling import Scaling

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Space = Callable[[Vectors], Floats]

EMBEDDING_WEIGHT: Final = 0.5
LEVEL_SCALE: Final = 3.0
"""Length of a one-hot level beside scalars of unit variance: two levels of an axis lie 4.2 sigmas apart."""
_HIDDEN: Final = [*FUNNEL_COLUMNS, *range(N_SCALARS - 2, N_SCALARS)]


class Coder(Protocol):
    """Gives buyers codes."""

    def codes(self, vectors: Vectors) -> Ints:
        """Codes int64 [n] of raw vectors float32 [n, 403]."""
        ...


def logs(vectors: Vectors) -> Floats:
    """Vectors with their scalars' transform (log1p), float64 [n, 403]."""
    out = vectors.astype(np.float64)
    out[:, :N_SCALARS] = np.log1p(np.maximum(out[:, :N_SCALARS], 0.0))
    return out


def standard_space(vectors: Vectors, columns: int = VECTOR_SIZE) -> Space:
    """The first `columns` columns, each brought to mean 0 and variance 1 on the given buyers."""
    scaler = StandardScaler().fit(logs(vectors)[:, :columns])
    return lambda rows: np.asarray(scaler.transform(logs(rows)[:, :columns]))


def balanced_space(vectors: Vectors, *, hide_funnel: bool = False) -> Space:
    """Blocks of equal say (Scaling, absolute); with hide_funnel nothing of the funnel is in it."""
    scaling = Scaling.fit(vectors, EMBEDDING_WEIGHT, hide_funnel=hide_funnel)

    def space(rows: Vectors) -> Floats:
        with torch.no_grad():
            return np.asarray(scaling(torch.from_numpy(rows)).double().numpy())

    return space


def levels_space(inner: Space, axes: Axes) -> Space:
    """A space with the one-hot levels of the three axes appended."""

    def space(rows: Vectors) -> Floats:
        levels = axes.levels(rows)
        onehots = [np.eye(size)[level] for level, size in zip(levels, (3, 3, len(STRATA)), strict=True)]
        return np.hstack([inner(rows), *(LEVEL_SCALE * onehot for onehot in onehots)])

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


def minibatch_kmeans(space: Space, vectors: Vectors, seed: int) -> Clusters:
    """MiniBatch k-means with 256 centres (Sculley 2010), sklearn's defaults but three initialisations."""
    kmeans = MiniBatchKMeans(_centres(vectors), n_init=3, random_state=seed)
    return _fitted(space, vectors, kmeans)


def lloyd_kmeans(space: Space, vectors: Vectors, seed: int) -> Clusters:
    """k-means++ and Lloyd steps until nothing moves (at most 300)."""
    return _fitted(space, vectors, KMeans(_centres(vectors), n_init=1, random_state=seed))


def _fitted(space: Space, vectors: Vectors, kmeans: KMeans | MiniBatchKMeans) -> Clusters:
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # buyers who are alike: fewer centres in use
        kmeans.fit(space(vectors))
    return Clusters(space, kmeans)


def _centres(vectors: Vectors) -> int:
    return min(CODES, len(vectors))


def autoencoder_space(vectors: Vectors, seed: int, epochs: int = 30) -> Space:
    """Latents of a plain autoencoder 403-256-128-96 and back on the balanced space: no codebook, no heads."""
    inner = balanced_space(vectors)
    torch.manual_seed(seed)
    widths = (VECTOR_SIZE, 256, 128, LATENT_SIZE)
    encoder, decoder = _mlp(widths), _mlp(widths[::-1])
    rows = torch.from_numpy(inner(vectors)).float()
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for batch in torch.split(rows[torch.randperm(len(rows))], 256):
            loss = F.mse_loss(decoder(encoder(batch)), batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        schedule.step()

    def space(raw: Vectors) -> Floats:
        with torch.no_grad():
            return np.asarray(encoder(torch.from_numpy(inner(raw)).float()).double().numpy())

    return space


def _mlp(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), nn.GELU()]
    return nn.Sequential(*layers[:-1])


class Grid:
    """36 codes without any learning: stratum x level of engagement x level of exploration.

    Perfect by construction wherever the stratum may be looked at: what purity alone is worth.
    """

    def __init__(self, axes: Axes) -> None:
        self._axes = axes

    def codes(self, vectors: Vectors) -> Ints:
        """The cell of each buyer, int64 [n] below 36."""
        levels = self._axes.levels(vectors)
        return (strata(vectors) * 3 + levels.engagement) * 3 + levels.exploration


def everyone_looks(vectors: Vectors) -> Ints:
    """Stratum D for all, int64 [n]."""
    return np.full(len(vectors), STRATA.index("D"), dtype=np.int64)


def mask_rule(vectors: Vectors) -> Ints:
    """The stratum by the masks: A where something was purchased, C where something was carted, else D."""
    masks = vectors[:, MASKS] > 0
    choices = [STRATA.index("A"), STRATA.index("C")]
    return np.select([masks[:, 2], masks[:, 1]], choices, STRATA.index("D")).astype(np.int64)


def hidden_columns(vectors: Vectors) -> Floats:
    """Vectors with nothing of the funnel (raw float64 [n, 403]): see points.hidden_funnel."""
    out = vectors.astype(np.float64)
    out[:, EVENTS] -= vectors[:, list(FUNNEL_COLUMNS)].sum(axis=1)
    out[:, _HIDDEN] = 0.0
    out[:, N_SCALARS + 128 : MASKS.start] = 0.0
    out[:, MASKS.start + 1 :] = 0.0
    return out


def gradient_boosting(rows: Floats, labels: Ints, seed: int) -> HistGradientBoostingClassifier:
    """Gradient boosted trees (sklearn's HistGradientBoosting): what a supervised model gets from a vector.

    A label that occurs once is left out: the early stopping holds out some rows of each.
    """
    counts = np.bincount(labels)
    kept = counts[labels] > 1
    with threadpool_limits(1):
        return HistGradientBoostingClassifier(
            max_iter=80,
            learning_rate=0.1,
            max_leaf_nodes=15,
            min_samples_leaf=20,
            l2_regularization=1.0,
            early_stopping=True,
            random_state=seed,
        ).fit(rows[kept], labels[kept])
