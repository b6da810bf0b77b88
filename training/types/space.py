"""The space in which codes are grouped into types: buyers as points, codes as profiles.

A point is a buyer's 16 standardised scalars, each axis of equal weight, and the funnel stratum. A code's
profile is the mean of its buyers' points. Profiles of small codes are noise, so each is drawn towards that
of its nearest codes by as much as its buyers are few (empirical Bayes; Efron and Morris 1975).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import N_SCALARS, SCALARS
from inference.bundles.catalogue import ScalarScale
from inference.encoders.graph import CODES
from training.types.ward import distances_between, group_means

_NEIGHBOURS: Final = 5
_MAX_SIGMAS: Final = 4.0
_FUNNEL_WEIGHT: Final = 2.0
"""Of the strata's shares beside a scalar's deviation: who buys must not drown among who looks how."""
_MAX_RAW: Final = 1e12

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_AXES: Final = list(dict.fromkeys(scalar.axis for scalar in SCALARS))
_AXIS: Final = np.array([_AXES.index(scalar.axis) for scalar in SCALARS])
_WEIGHTS: Final = np.concatenate(
    [1.0 / np.sqrt(np.bincount(_AXIS))[_AXIS], np.full(len(STRATA), _FUNNEL_WEIGHT)]
)
_MONEY: Final = [i for i, scalar in enumerate(SCALARS) if scalar.axis == "economic"]


def fit_scale(vectors: NDArray[np.float32]) -> ScalarScale:
    """Mean and deviation of the transformed scalars of raw vectors [n, 403]; 1 for a constant scalar."""
    scalars = _transformed(vectors)
    deviation = scalars.std(axis=0)
    deviation[deviation < 1e-6] = 1.0
    return ScalarScale(
        mean=tuple(scalars.mean(axis=0).round(6).tolist()), deviation=tuple(deviation.round(6).tolist())
    )


def type_points(vectors: NDArray[np.float32], stores: NDArray[Any], scale: ScalarScale) -> Floats:
    """Each buyer as a point float64 [n, 20] of the space in which codes are grouped.

    Money is told against the buyers of the same store that have any, and is 0 for those that have none:
    currencies differ, and whether views name a price is the pixel's doing, not the buyer's.
    """
    scalars = _transformed(vectors)
    scaled = (scalars - np.array(scale.mean)) / np.array(scale.deviation)
    for column in _MONEY:
        scaled[:, column] = _against_store(scalars[:, column], stores)
    stratum = np.eye(len(STRATA))[strata(vectors)]
    return np.asarray(np.hstack([scaled.clip(-_MAX_SIGMAS, _MAX_SIGMAS), stratum]) * _WEIGHTS)


def _against_store(values: Floats, stores: NDArray[Any]) -> Floats:
    told = np.flatnonzero(values > 0)
    _, store = np.unique(stores[told], return_inverse=True)
    counts = np.maximum(np.bincount(store), 1)
    off = values[told] - (np.bincount(store, values[told]) / counts)[store]
    spread = np.sqrt(np.bincount(store, off**2) / counts)
    against = np.zeros(len(values))
    against[told] = off / np.where(spread < 1e-6, 1.0, spread)[store]
    return against


def _transformed(vectors: NDArray[np.float32]) -> Floats:
    return np.asarray(np.log1p(vectors[:, :N_SCALARS].astype(np.float64).clip(0.0, _MAX_RAW)))


def deviations(points: Floats) -> Floats:
    """The scalars of points [n, 20] in deviations from their mean, float64 [n, 16]."""
    return np.asarray(points[:, :N_SCALARS] / _WEIGHTS[:N_SCALARS])


def nearest_codes(codebook: NDArray[np.float32]) -> Ints:
    """Every code's others, nearest first: int64 [256, 255]."""
    distances = distances_between(codebook.astype(np.float64), codebook.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    return np.asarray(np.argsort(distances, axis=1, kind="stable")[:, :-1])


def code_profiles(points: Floats, codes: Ints, near: Ints) -> tuple[Floats, Floats]:
    """Smoothed profiles float64 [256, 20] and how many buyers each code has, float64 [256].

    A profile of n buyers counts n times, that of its 5 nearest used codes as often as the variance
    inside codes is larger than that between them.
    """
    counts = np.bincount(codes, minlength=CODES).astype(np.float64)
    means = group_means(points, codes, CODES)
    inside = ((points - means[codes]) ** 2).mean(axis=0)
    overall = np.average(means, axis=0, weights=counts)
    between = np.average((means - overall) ** 2, axis=0, weights=counts)
    pull = inside / np.maximum(between, 1e-9)
    smoothed = means.copy()
    used = counts > 0
    for code in np.flatnonzero(used).tolist():
        neighbours = near[code][used[near[code]]][:_NEIGHBOURS]
        if len(neighbours):
            prior = np.average(means[neighbours], axis=0, weights=counts[neighbours])
            smoothed[code] = (counts[code] * means[code] + pull * prior) / (counts[code] + pull)
    return smoothed, counts
