"""Where a code's buyers stand among all training buyers, on each axis of behaviour."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from feature_store.fold.vector import N_SCALARS, SCALARS
from inference.encoders.graph import CODES

AXES: Final = tuple(dict.fromkeys(scalar.axis for scalar in SCALARS))
_FLAT: Final = 1e-6
_MONEY: Final = [i for i, scalar in enumerate(SCALARS) if scalar.axis == "economic"]


def mean_percentiles(
    vectors: NDArray[np.float32], stores: NDArray[Any], codes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Mean percentile (0 to 100) of each code's buyers on each axis, int64 [256, 5].

    A buyer's place on an axis is the mean of its standardised log1p scalars; ties share their mean rank.
    Money is relative to the buyers of the same store that have any, and 0 for those that have none:
    currencies differ, and whether views name a price is the pixel's doing, not the buyer's.
    """
    logs = np.log1p(vectors[:, :N_SCALARS].astype(np.float64).clip(0.0))
    points = _standardised(logs)
    for column in _MONEY:
        points[:, column] = 0.0
        for store in np.unique(stores):
            with_value = np.flatnonzero((stores == store) & (logs[:, column] > 0))
            points[with_value, column] = _standardised(logs[with_value, column])
    counts = np.maximum(np.bincount(codes, minlength=CODES), 1)
    means = np.zeros((CODES, len(AXES)), dtype=np.int64)
    for column, axis in enumerate(AXES):
        score = points[:, [i for i, scalar in enumerate(SCALARS) if scalar.axis == axis]].mean(axis=1)
        percentile = 100 * (rankdata(score) - 0.5) / len(score)
        means[:, column] = np.rint(np.bincount(codes, percentile, minlength=CODES) / counts)
    return means


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean 0 and deviation 1 by column; 0 where nothing varies."""
    if len(values) == 0:
        return values
    deviation = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(deviation < _FLAT, 1.0, deviation))
