"""Where codes are placed at first, and which is nearest: always among the codes of the row's own cell."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

LEAST_CODES: Final = 4
"""Of a cell, however few rows it has."""
OUT_OF_CELL: Final = 1e9
"""Added to the squared distance of a code of another cell; latents are some tens long."""


def codes_per_cell(rows: NDArray[np.int64], codes: int) -> NDArray[np.int64]:
    """How many codes each cell gets, int64 [cells]: by the root of its rows int64 [cells], LEAST_CODES at
    least; together `codes`, by largest remainders."""
    root = np.sqrt(rows.astype(np.float64))
    spare = codes - LEAST_CODES * len(rows)
    wanted = spare * root / max(root.sum(), 1.0)
    given = np.floor(wanted).astype(np.int64)
    left = spare - int(given.sum())
    for cell in np.argsort(given - wanted, kind="stable")[:left]:
        given[cell] += 1
    given[int(rows.argmax())] += spare - int(given.sum())
    return np.asarray(given + LEAST_CODES)


def place_codes(
    latents: NDArray[np.float64], codes: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centres float64 [codes, size] by k-means++ (Arthur and Vassilvitskii 2007) and Lloyd steps on latents
    float64 [n, size], and how many latents each has, int64 [codes]. Where there are fewer latents than codes,
    the rest lie on random latents."""
    centres = min(codes, len(latents))
    kmeans = KMeans(centres, init="k-means++", n_init=1, max_iter=10, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():  # threads add up in the order in which they finish
        warnings.simplefilter("ignore", ConvergenceWarning)  # rows that are alike: fewer centres in use
        labels = kmeans.fit_predict(latents)
    spare = np.random.default_rng(seed).integers(0, len(latents), codes - centres)
    return np.concatenate([kmeans.cluster_centers_, latents[spare]]), np.bincount(labels, minlength=codes)


def square_distances(latents: Tensor, cells: Tensor, codebook: Tensor, cell_of_code: Tensor) -> Tensor:
    """||z - e||^2 float32 [n, codes] by the expanded square: one matrix product, no [n, codes, size]; codes
    of another cell are OUT_OF_CELL farther. latents float32 [n, size], cells int64 [n]."""
    away = (cells.unsqueeze(1) != cell_of_code).to(latents.dtype) * OUT_OF_CELL
    squares = latents.square().sum(dim=1, keepdim=True) + codebook.square().sum(dim=1)
    return squares - 2.0 * latents @ codebook.T + away


def straight_through(latents: Tensor, quantized: Tensor) -> Tensor:
    """The quantised values, with the gradient of the latents (van den Oord et al. 2017, section 3.2)."""
    return latents + (quantized - latents).detach()
