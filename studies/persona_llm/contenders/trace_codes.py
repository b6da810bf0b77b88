"""Codes of a session's actions alone, for the loop: they can be read off a simulated session again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from inference.encoders.graph import CODES
from studies.encoder.baselines import LEVEL_SCALE
from training.persona_llm.storefront.actions import ACTIONS, LEAVE, NUMBER, Step
from training.persona_llm.traces.goals import OUTCOMES, Outcome, outcome

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TYPES: Final = 8


class TraceCoder:
    """k-means on log counts of the actions and the outcome; types are k-means of its centres."""

    def __init__(self, codes: KMeans, types: KMeans) -> None:
        self._codes, self._types = codes, types

    @classmethod
    def fit(cls, sessions: Sequence[Sequence[str]], seed: int) -> Self:
        """Fit on training sessions, n >= 1; there are fewer codes where there are fewer different ones."""
        rows = features(sessions)
        different, counts = np.unique(rows, axis=0, return_counts=True)
        with threadpool_limits(1):
            size = min(CODES, len(different))
            codes = KMeans(size, n_init=1, random_state=seed).fit(different, sample_weight=counts)
            used = np.bincount(codes.predict(rows), minlength=size)
            types = KMeans(min(TYPES, size), n_init=4, random_state=seed)
            types.fit(codes.cluster_centers_, sample_weight=used)
        return cls(codes, types)

    def codes(self, sessions: Sequence[Sequence[str]]) -> Ints:
        """The nearest centre of each session, int64 [n]."""
        with threadpool_limits(1):
            return np.asarray(self._codes.predict(features(sessions)), dtype=np.int64)

    @property
    def type_of_code(self) -> Ints:
        """int64 [codes]."""
        return np.asarray(self._types.labels_, dtype=np.int64)


def features(sessions: Sequence[Sequence[str]]) -> Floats:
    """float64 [n, actions - 1 + 4]: log1p of how often each action but leaving was done, then the outcome as
    a one-hot so long that sessions of two outcomes hardly share a code."""
    counts = np.zeros((len(sessions), len(ACTIONS)))
    ends = np.zeros((len(sessions), len(OUTCOMES)))
    for i, actions in enumerate(sessions):
        for action in actions:
            counts[i, NUMBER[action]] += 1
        ends[i, OUTCOMES.index(outcome_of(actions))] = LEVEL_SCALE
    return np.hstack([np.log1p(np.delete(counts, NUMBER[LEAVE], axis=1)), ends])


def outcome_of(actions: Sequence[str]) -> Outcome:
    """How far a session of these actions went."""
    return outcome([Step(action, None, None, 0) for action in actions])
