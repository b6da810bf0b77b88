"""What is learned from and what is judged: rows of shops, what came after each, and which side it is on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import N_SCALARS
from training.encoder.dataset import SESSIONS_COLUMN, BuyerVectors
from training.encoder.outcomes import AFTER_SESSION, IN_SESSION, OUTCOMES, outcomes_of

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

PLACES: Final = (1, 3, 5, 10)
"""Judged after so many events of a session; what comes after the session is judged at its end."""
END: Final = 0
_LEARNED: Final = 0.6
_SIDE: Final = 57


class Scene(NamedTuple):
    """Rows of some shops. store int64 [n], an index into stores; known and happened bool [n, 8] by OUTCOMES;
    learned and judged bool [n]; before int64 [n], the row at the end of the session before (-1: none)."""

    data: BuyerVectors
    stores: tuple[str, ...]
    store: Ints
    known: Bools
    happened: Bools
    learned: Bools
    judged: Bools
    before: Ints

    @classmethod
    def of(cls, data: BuyerVectors, learned: Bools, judged: Bools) -> Self:
        """The rows with what came after them."""
        names: NDArray[Any] = np.array([store for store, _ in data.buyers])
        stores, store = np.unique(names, return_inverse=True)
        came = outcomes_of(data)
        before = np.full(len(data.buyer), -1, dtype=np.int64)
        ends = np.unique(data.session_end)
        followed = ends[data.next_session_end[ends] >= 0]
        before[data.next_session_end[followed]] = followed
        return cls(
            data,
            tuple(map(str, stores)),
            store[data.buyer].astype(np.int64),
            came.known,
            came.happened,
            learned,
            judged,
            before[data.session_end],
        )

    @classmethod
    def by_buyer(cls, data: BuyerVectors, seed: int = _SIDE) -> Self:
        """60 % of the buyers of each shop are learned from, the others judged."""
        side = np.random.default_rng(seed).random(len(data.buyers)) < _LEARNED
        learned = side[data.buyer]
        return cls.of(data, learned, ~learned)

    @classmethod
    def by_time(cls, data: BuyerVectors, cuts: dict[str, int]) -> Self:
        """Sessions that were over before their shop's cut (ms) are learned from, those that began after it
        judged, whoever's they are; shops without a cut are left out."""
        cut = np.array([cuts.get(store, 0) for store, _ in data.buyers])[data.buyer]
        start = np.array(data.time)
        first = np.flatnonzero(data.position == 1)
        start[data.session_end[first]] = data.time[first]
        began = start[data.session_end]
        return cls.of(data, (data.time[data.session_end] < cut) & (cut > 0), (began >= cut) & (cut > 0))

    def only(self, learned: Iterable[str], judged: Iterable[str]) -> Scene:
        """The same rows with fewer shops on the sides."""
        return self._replace(
            learned=self.learned & np.isin(self.store, [self.stores.index(one) for one in learned]),
            judged=self.judged & np.isin(self.store, [self.stores.index(one) for one in judged]),
        )

    def place(self, outcome: int) -> Ints:
        """Where in the session each row is for an outcome, int64 [n]: events so far, or END."""
        return self.data.position if OUTCOMES[outcome] in IN_SESSION else np.zeros_like(self.data.position)

    def learned_rows(self, outcome: int) -> Bools:
        """Rows to learn an outcome from, bool [n]."""
        return self.learned & self.known[:, outcome]

    def judged_rows(self, store: int, outcome: int, place: int) -> Ints:
        """Rows int64 [m] on which an outcome is judged in a shop."""
        at = self.judged & self.known[:, outcome] & (self.store == store) & (self.place(outcome) == place)
        return np.flatnonzero(at)

    def counts(self) -> Floats:
        """log(1 + x) of the 16 scalars, of the whole history and of the session alone: float64 [n, 32].

        What any analytics tool can count. Where the session before is not among the rows
        (dataset.MAX_SESSIONS), the session's counts are 0.
        """
        now = np.maximum(self.data.vectors[:, :N_SCALARS].astype(np.float64), 0.0)
        earlier = np.where((self.before >= 0)[:, None], now[self.before], 0.0)
        unknown = (self.before < 0) & (now[:, SESSIONS_COLUMN] > 1)
        session = np.where(unknown[:, None], 0.0, np.maximum(now - earlier, 0.0))
        return np.asarray(np.log1p(np.hstack([now, session])))


def places_of(outcome: int) -> tuple[int, ...]:
    """Where an outcome is judged."""
    return (END,) if OUTCOMES[outcome] in AFTER_SESSION else PLACES
