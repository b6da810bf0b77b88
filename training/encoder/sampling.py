"""Which rows an epoch sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.encoder.dataset import BuyerVectors


class Sampler:
    """Draws rows, with replacement, so that big stores and brief visits do not fill the codebook.

    Most visitors of a shop leave after a click or two and look alike; most buyers of a collection of stores
    are those of the biggest. So the rows of a store at one position weigh together the root of their number.
    """

    def __init__(self, data: BuyerVectors, rows: NDArray[np.int64], seed: int) -> None:
        store = store_index(data)[data.buyer[rows]]
        _, group, sizes = np.unique(
            store * (data.position.max(initial=0) + 2) + data.position[rows] + 1,
            return_inverse=True,
            return_counts=True,
        )
        self._rows = rows
        self._edges = np.cumsum(sizes[group] ** -0.5)
        self._seed = seed

    def draw(self, epoch: int, n: int) -> NDArray[np.int64]:
        """n rows int64 of an epoch; a function of seed and epoch alone, so a resumed run draws the same."""
        random = np.random.default_rng([self._seed, epoch])
        drawn = np.searchsorted(self._edges, random.random(n) * self._edges[-1], side="right")
        return np.asarray(self._rows[drawn])


def store_index(data: BuyerVectors) -> NDArray[np.int64]:
    """The store of each buyer, int64 [buyers], counted from 0 in alphabetical order."""
    stores: NDArray[Any] = np.array([store for store, _ in data.buyers])
    return np.unique(stores, return_inverse=True)[1].astype(np.int64)
