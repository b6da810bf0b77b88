"""Which buyers are judged, and after how many events.

Three sides by buyer, the same for all seeds: training fits, validation chooses, test is read once
(studies/sealed_test.py refuses it before the configuration is fixed).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from training.encoder.axes import EVENTS, FUNNEL_COLUMNS, MIN_EVENTS
from training.encoder.dataset import BuyerVectors

Ints = NDArray[np.int64]
Vectors = NDArray[np.float32]

TRAIN, VALIDATION, TEST = 0, 1, 2
SHARES: Final = (0.5, 0.15, 0.35)
LANDMARKS: Final = (3, 5, 10)


class Points(NamedTuple):
    """Rows of buyers with at least MIN_EVENTS events, and where each buyer belongs.

    data: training rows of those buyers only. store int64 [buyers], an index into stores; side int64
    [buyers], TRAIN, VALIDATION or TEST.
    """

    data: BuyerVectors
    stores: tuple[str, ...]
    store: Ints
    side: Ints

    @classmethod
    def of(cls, data: BuyerVectors, *, seed: int, most: int | None = None) -> Self:
        """Judge the buyers of `data` with MIN_EVENTS events or more, at most `most` of each store, drawn
        by `seed`; in each store the sides have SHARES of them."""
        whole = data.vectors[data.whole]
        names = np.array([store for store, _ in data.buyers])
        stores, store = np.unique(names, return_inverse=True)
        side = np.full(len(names), -1, dtype=np.int64)
        for index in range(len(stores)):
            random = np.random.default_rng([seed, index])
            judged = np.flatnonzero((store == index) & (whole[:, EVENTS] >= MIN_EVENTS))
            drawn = random.permutation(judged)[:most]
            cuts = np.round(np.cumsum(SHARES[:-1]) * len(drawn)).astype(int)
            for where, part in enumerate(np.split(drawn, cuts)):
                side[part] = where
        kept = np.flatnonzero(side >= 0)
        return cls(select(data, kept), tuple(stores.tolist()), store[kept].astype(np.int64), side[kept])

    def where(self, side: int, stores: Iterable[int] | None = None) -> Ints:
        """Buyers int64 [m] on a side, of all stores or of those with the given indices."""
        of = np.ones(len(self.side), dtype=np.bool_) if stores is None else np.isin(self.store, list(stores))
        return np.flatnonzero((self.side == side) & of)

    def whole(self, buyers: Ints) -> Vectors:
        """Whole histories float32 [m, W] of buyers int64 [m]: row i of the data is buyer i's."""
        return self.data.vectors[buyers]

    def landmark(self, events: int) -> Ints:
        """Rows int64 [m] after exactly so many events, by buyers without any funnel event until then.

        Also buyers whose history is just that long: what live traffic shows, without their future's leak.
        """
        rows = self.data.landmark(events)
        early = (self.data.vectors[rows][:, list(FUNNEL_COLUMNS)] == 0).all(axis=1)
        return np.asarray(rows[early])

    def training_data(self, stores: Iterable[int] | None = None) -> BuyerVectors:
        """All rows of the training buyers, whole and earlier."""
        return self.data_of(self.where(TRAIN, stores))

    def data_of(self, buyers: Ints) -> BuyerVectors:
        """All rows of some buyers (int64, rising)."""
        return select(self.data, buyers)


def select(data: BuyerVectors, buyers: Ints) -> BuyerVectors:
    """The rows of some buyers (int64 [m], indices, rising), renumbered from 0."""
    place = np.full(len(data.buyers), -1, dtype=np.int64)
    place[buyers] = np.arange(len(buyers))
    rows = np.flatnonzero(place[data.buyer] >= 0)
    place_of = np.full(len(data.vectors), -1, dtype=np.int64)
    place_of[rows] = np.arange(len(rows))
    follows = data.next_session_end[rows]
    return BuyerVectors(
        buyers=[data.buyers[i] for i in buyers.tolist()],
        vectors=data.vectors[rows],
        buyer=place[data.buyer[rows]],
        whole=data.whole[rows],
        session_end=place_of[data.session_end[rows]],
        position=data.position[rows],
        time=data.time[rows],
        next_session_end=np.where(follows < 0, -1, place_of[follows]),
    )
