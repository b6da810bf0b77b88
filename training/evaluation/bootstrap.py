"""Intervals by buyer: samples as weights, and paired differences on the same samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.evaluation.measures import once

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Floats]
"""Weights float64 [b, n] -> values float64 [b]; see measures.py."""

SAMPLES: Final = 300
_AT_ONCE: Final = 100  # weights of so many samples are in memory together
_ENDS: Final = (2.5, 97.5)


class Estimate(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


class Bootstrap:
    """The same samples of n buyers for all that is compared (Efron 1979)."""

    def __init__(
        self, n: int, seed: int, samples: int = SAMPLES, strata: NDArray[np.int64] | None = None
    ) -> None:
        """With `strata` (int64 [n], for example stores) each is drawn from by itself, to its own number."""
        self._n = n
        self._samples = samples
        self._seed = seed
        self._groups = (
            [np.arange(n)]
            if strata is None
            else [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
        )

    def values(self, measure: Measure) -> Floats:
        """The measure on every sample, float64 [samples]."""
        parts = []
        for first in range(0, self._samples, _AT_ONCE):
            random = np.random.default_rng([self._seed, first])
            count = min(_AT_ONCE, self._samples - first)
            weights = np.zeros((count, self._n))
            for group in self._groups:
                weights[:, group] = random.multinomial(len(group), np.full(len(group), 1 / len(group)), count)
            parts.append(measure(weights))
        return np.concatenate(parts)

    def all(self, measure: Measure) -> Floats:
        """The measure on the buyers as they are, then on every sample: float64 [1 + samples]."""
        return np.concatenate([measure(once(self._n)), self.values(measure)])

    def estimate(self, measure: Measure) -> Estimate:
        """The measure on the buyers as they are, and its percentile interval."""
        return interval(float(measure(once(self._n))[0]), self.values(measure))

    def difference(self, measure: Measure, other: Measure) -> Estimate:
        """measure - other with both on the same samples: what the buyers have in common cancels out."""
        return self.estimate(lambda weights: measure(weights) - other(weights))


def interval(value: float, samples: Floats) -> Estimate:
    """A value with the percentiles of its samples, moved so that the samples' mean lies on it; NaN: none.

    A sample has fewer different buyers, so perplexity and incoherence are biased in it; the move takes the
    bias off (Efron and Tibshirani 1993, chapter 10). What is never below 0 has no interval below it.
    """
    finite = samples[np.isfinite(samples)]
    if len(finite) == 0 or not np.isfinite(value):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(finite, _ENDS) - finite.mean() + value
    return Estimate(value, float(low if finite.min() < 0 else max(low, 0.0)), float(high))
