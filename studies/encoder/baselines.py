"""What an encoder is held against in the study, beside k-means (training.evaluation.baselines).

Every coder is fitted on raw vectors float32 [n, W] of training buyers and gives codes int64 [n] in
[0, CODES).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import MiniBatchKMeans
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import nn

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import MASKS
from inference.encoders.graph import LATENT_SIZE
from training.encoder.axes import Axes
from training.evaluation.baselines import (
    Clusters,
    Floats,
    Ints,
    Space,
    Vectors,
    balanced_space,
    centres,
    fit_kmeans,
)

LEVEL_SCALE: Final = 3.0
"""Length of a one-hot level beside scalars of unit variance: two levels of an axis lie 4.2 sigmas apart."""


def levels_space(inner: Space, axes: Axes) -> Space:
    """A space with the one-hot levels of the three axes appended."""

    def space(rows: Vectors) -> Floats:
        levels = axes.levels(rows)
        onehots = [np.eye(size)[level] for level, size in zip(levels, (3, 3, len(STRATA)), strict=True)]
        return np.hstack([inner(rows), *(LEVEL_SCALE * onehot for onehot in onehots)])

    return space


def minibatch_kmeans(space: Space, vectors: Vectors, seed: int) -> Clusters:
    """MiniBatch k-means with 256 centres (Sculley 2010), sklearn's defaults but three initialisations."""
    kmeans = MiniBatchKMeans(centres(vectors), n_init=3, random_state=seed)
    return fit_kmeans(space, vectors, kmeans)


def autoencoder_space(vectors: Vectors, seed: int, epochs: int = 30) -> Space:
    """Latents of a plain autoencoder 403-256-128-96 and back on the balanced space: no codebook, no heads."""
    inner = balanced_space(vectors)
    torch.manual_seed(seed)
    widths = (MASKS.stop, 256, 128, LATENT_SIZE)
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
