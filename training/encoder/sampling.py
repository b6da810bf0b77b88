"""Which rows an epoch sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.encoder.axes import MIN_EVENTS
from training.encoder.config import TrainConfig
from training.encoder.dataset import EVENTS_COLUMN, BuyerVectors


class Sampler:
    """Draws rows, with replacement, so that big stores and brief visits do not fill the codebook.

    Most visitors of a shop leave after a click or two and look alike; most buyers of a collection of stores
    are those of the biggest. So stores weigh by a power of their buyers, and shares are fixed for brief
    histories and for prefixes (TrainConfig.store_balance, brief_share, prefix_share).
    """

    def __init__(self, data: BuyerVectors, rows: NDArray[np.int64], config: TrainConfig) -> None:
        store = store_index(data)[data.buyer[rows]]
        whole = data.whole[rows]
        brief = data.vectors[rows, EVENTS_COLUMN] < MIN_EVENTS
        weight = np.ones(len(rows))
        for kind in (0, 1, 2, 3):
            group = (whole * 2 + brief) == kind
            per_store = np.bincount(store[group], minlength=store.max() + 1).clip(1)
            weight[group] = per_store[store[group]] ** -config.store_balance
            share = (1 - config.prefix_share if kind >= 2 else config.prefix_share) * (
                config.brief_share if kind % 2 else 1 - config.brief_share
            )
            if group.any():
                weight[group] *= share / weight[group].sum()
        self._rows = rows
        self._edges = np.cumsum(weight)
        self._seed = config.seed

    def draw(self, epoch: int, n: int) -> NDArray[np.int64]:
        """n rows int64 of an epoch; a function of seed and epoch alone, so a resumed run draws the same."""
        random = np.random.default_rng([self._seed, epoch])
        drawn = np.searchsorted(self._edges, random.random(n) * self._edges[-1], side="right")
        return np.asarray(self._rows[drawn])


def store_index(data: BuyerVectors) -> NDArray[np.int64]:
    """The store of each buyer, int64 [buyers], counted from 0 in alphabetical order."""
    stores: NDArray[Any] = np.array([store for store, _ in data.buyers])
    return np.unique(stores, return_inverse=True)[1].astype(np.int64)
