"""From buyers to groups of codes, in four steps: points, profiles, Ward's groups for each count, the count.

1. A buyer is a point: 16 standardised scalars, each axis of equal weight, and the funnel stratum.
2. A code's profile is the mean of its buyers' points. Profiles of small codes are noise, so each is drawn
   towards that of its nearest codes, by as much as its buyers are few (empirical Bayes, Efron and Morris
   1975).
3. Ward's method (Ward 1963), codes weighted by their buyers, merges what is most alike; Lloyd steps then put
   each code with the group whose centre is nearest.
4. Each count is tried on bootstrap samples of the buyers. The largest is taken whose groups all come out
   again and are large enough to be of use. A group comes out again if the group most like it in a sample
   shares, on average, 3 of 4 of both groups' buyers (Jaccard; Hennig 2007, Cluster-wise assessment of cluster
   stability). The adjusted Rand index and the silhouette (simplified, Vendramin et al. 2010) are reported
   beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import N_SCALARS, SCALARS
from inference.bundles.catalogue import ScalarScale
from inference.encoders.graph import CODES
from training.types.measures import (
    Floats,
    Ints,
    distances_between,
    found_again,
    group_means,
    rand_index,
    silhouette,
)

MIN_TYPES: Final = 6
MAX_TYPES: Final = 12
MIN_SHARE: Final = 0.01
"""A type smaller than this is not worth a name, if another count can do without it."""
RESAMPLES: Final = 30
_STABLE: Final = 0.75
_RESAMPLED_BUYERS: Final = 100_000
_MAX_STEPS: Final = 50
_NEIGHBOURS: Final = 5
_MAX_SIGMAS: Final = 4.0
_FUNNEL_WEIGHT: Final = 2.0
"""Of the strata's shares beside a scalar's deviation: who buys must not drown among who looks how."""
_MAX_RAW: Final = 1e12

_AXES: Final = list(dict.fromkeys(scalar.axis for scalar in SCALARS))
_AXIS: Final = np.array([_AXES.index(scalar.axis) for scalar in SCALARS])
_WEIGHTS: Final = np.concatenate(
    [1.0 / np.sqrt(np.bincount(_AXIS))[_AXIS], np.full(len(STRATA), _FUNNEL_WEIGHT)]
)
_MONEY: Final = [i for i, scalar in enumerate(SCALARS) if scalar.axis == "economic"]


# 1. Points


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

    Money is relative to the buyers of the same store that have any, and is 0 for those that have none:
    currencies differ, and whether views name a price is the pixel's doing, not the buyer's.
    """
    scalars = _transformed(vectors)
    scaled = (scalars - np.array(scale.mean)) / np.array(scale.deviation)
    for column in _MONEY:
        scaled[:, column] = _against_store(scalars[:, column], stores)
    stratum = np.eye(len(STRATA))[strata(vectors)]
    return np.asarray(np.hstack([scaled.clip(-_MAX_SIGMAS, _MAX_SIGMAS), stratum]) * _WEIGHTS)


def _against_store(values: Floats, stores: NDArray[Any]) -> Floats:
    with_value = np.flatnonzero(values > 0)
    _, store = np.unique(stores[with_value], return_inverse=True)
    counts = np.maximum(np.bincount(store), 1)
    off = values[with_value] - (np.bincount(store, values[with_value]) / counts)[store]
    spread = np.sqrt(np.bincount(store, off**2) / counts)
    against = np.zeros(len(values))
    against[with_value] = off / np.where(spread < 1e-6, 1.0, spread)[store]
    return against


def _transformed(vectors: NDArray[np.float32]) -> Floats:
    return np.asarray(np.log1p(vectors[:, :N_SCALARS].astype(np.float64).clip(0.0, _MAX_RAW)))


def deviations(points: Floats) -> Floats:
    """The scalars of points [n, 20] in deviations from their mean, float64 [n, 16]."""
    return np.asarray(points[:, :N_SCALARS] / _WEIGHTS[:N_SCALARS])


# 2. Profiles


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


# 3. Groups for each count


class Cuts(NamedTuple):
    """The codes of some buyers, grouped for each count."""

    profiles: Floats
    """float64 [256, 20], smoothed."""
    weights: Floats
    """float64 [256], the buyers of each code."""
    groups: dict[int, Ints]
    """By count: the group of each code, int64 [256], -1 for a code without buyers."""


def cut(points: Floats, codes: Ints, near: Ints) -> Cuts:
    """Group the codes of these buyers for each count: Ward's groups, settled. near: see nearest_codes."""
    profiles, weights = code_profiles(points, codes, near)
    cuts = ward_cuts(profiles, weights, MIN_TYPES, MAX_TYPES)
    return Cuts(
        profiles, weights, {count: settle(labels, profiles, weights) for count, labels in cuts.items()}
    )


def ward_cuts(profiles: Floats, weights: Floats, fewest: int, most: int) -> dict[int, Ints]:
    """Merge codes of profiles float64 [256, d] by Ward (1963); the grouping for each count in the range.

    A code without weight is labelled -1. Where fewer codes than `fewest` have any, each is a group.
    """
    used = np.flatnonzero(weights > 0)
    centres, mass = profiles[used].copy(), weights[used].copy()
    label = np.arange(len(used))
    cost = np.stack([_merge_costs(centres, mass, i) for i in range(len(used))])
    np.fill_diagonal(cost, np.inf)
    cuts = {}
    fewest = min(fewest, len(used))
    for left in range(len(used), fewest - 1, -1):
        if left <= most:
            cuts[left] = np.full(len(weights), -1)
            cuts[left][used] = np.unique(label, return_inverse=True)[1]
        if left == fewest:
            break
        i, j = divmod(int(cost.argmin()), len(used))
        centres[i] = (mass[i] * centres[i] + mass[j] * centres[j]) / (mass[i] + mass[j])
        mass[i] += mass[j]
        label[label == j] = i
        gone = np.isinf(cost[i])
        cost[i] = np.where(gone, np.inf, _merge_costs(centres, mass, i))
        cost[:, i] = cost[i]
        cost[j] = cost[:, j] = np.inf
    return cuts


def _merge_costs(centres: Floats, mass: Floats, i: int) -> Floats:
    return np.asarray(((centres - centres[i]) ** 2).sum(axis=1) * mass * mass[i] / (mass + mass[i]))


def settle(labels: Ints, profiles: Floats, weights: Floats) -> Ints:
    """Move codes to the group whose centre is nearest until none moves (weighted Lloyd steps, 1982).

    Ward never takes a merge back, so a code may end up nearer to another group. A step that would empty
    a group is not taken.
    """
    used = np.flatnonzero(labels >= 0)
    groups = int(labels.max()) + 1
    mine = labels[used]
    for _ in range(_MAX_STEPS):
        centres = group_means(profiles[used], mine, groups, weights[used])
        nearest = distances_between(profiles[used], centres).argmin(axis=1)
        if (nearest == mine).all() or len(np.unique(nearest)) < groups:
            break
        mine = nearest
    settled = labels.copy()
    settled[used] = mine
    return settled


# 4. The count


def draws(buyers: int, seed: int) -> list[Ints]:
    """The rows of each bootstrap sample of so many buyers."""
    random = np.random.default_rng(seed)
    size = min(buyers, _RESAMPLED_BUYERS)
    return [random.integers(0, buyers, size) for _ in range(RESAMPLES)]


def choose_count(whole: Cuts, samples: Sequence[Cuts]) -> tuple[int, list[dict[str, float]]]:
    """The count to take, and for each one tried how stable it is.

    Where no count is stable, the one whose least stable type comes out most often.
    """
    profiles, weights = whole.profiles, whole.weights
    tried = []
    for count, labels in sorted(whole.groups.items()):
        again = [sample.groups[count] for sample in samples if count in sample.groups]
        sizes = np.bincount(labels[labels >= 0], weights[labels >= 0]) / weights.sum()
        indices = [rand_index(labels, other, weights) for other in again]
        found = [found_again(labels, other, weights) for other in again]
        tried.append(
            {
                "types": count,
                "stability": round(float(np.mean(found, axis=0).min()), 4) if found else 0.0,
                "rand_index": round(float(np.mean(indices)), 4) if again else 0.0,
                "silhouette": round(silhouette(profiles, labels, weights), 4),
                "smallest_share": round(float(sizes.min()), 4),
            }
        )
    large_enough = [row for row in tried if row["smallest_share"] >= MIN_SHARE] or tried
    stable = [row for row in large_enough if row["stability"] >= _STABLE]
    best = stable[-1] if stable else max(large_enough, key=lambda row: row["stability"])
    return int(best["types"]), tried
