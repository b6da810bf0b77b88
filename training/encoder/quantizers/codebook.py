"""What every quantiser shares: where codes are placed at first, and distances to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor


def place_codes(latents: Tensor, codes: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centres float64 [codes, size] by k-means++ (Arthur and Vassilvitskii 2007) and Lloyd steps on latents
    float32 [n, size], n >= codes; and how many latents each has, int64 [codes]."""
    kmeans = KMeans(codes, init="k-means++", n_init=1, max_iter=10, random_state=seed)
    with threadpool_limits(1):  # its threads add up in the order in which they finish
        labels = kmeans.fit_predict(latents.cpu().double().numpy())
    return kmeans.cluster_centers_, np.bincount(labels, minlength=codes)


def nearest_code(latents: Tensor, codebook: Tensor) -> Tensor:
    """Indices int64 [n] of the codes nearest to latents float32 [n, size]."""
    return square_distances(latents, codebook).argmin(dim=1)


def square_distances(latents: Tensor, codebook: Tensor) -> Tensor:
    """||z - e||^2 float32 [n, codes] by the expanded square: one matrix product, no [n, codes, size]."""
    return (
        latents.square().sum(dim=1, keepdim=True) - 2.0 * latents @ codebook.T + codebook.square().sum(dim=1)
    )


def straight_through(latents: Tensor, quantized: Tensor) -> Tensor:
    """The quantised values, with the gradient of the latents (van den Oord et al. 2017, section 3.2)."""
    return latents + (quantized - latents).detach()
