"""Codes -> 6 to 12 types: groups of codes whose buyers behave alike.

A code's profile is the mean of its buyers' behaviour: the 16 standardised scalars, each axis of equal
weight, and the shares of the four funnel strata. Profiles of small codes are noise, so each is drawn
towards that of its nearest codes by as much as its buyers are few (empirical Bayes; Efron and Morris
1975). Ward's method (Ward 1963), codes weighted by their buyers, merges what is most alike; Lloyd steps
then put each code with the group whose centre is nearest.

How many types: each count is tried on bootstrap samples of the buyers. The largest count is taken whose
types all come out again and are large enough to be of use. A type comes out again if the type most like
it in a sample shares, on average, 3 of 4 of both types' buyers (Jaccard; Hennig 2007, Cluster-wise
assessment of cluster stability). The adjusted Rand index and the silhouette (simplified, Vendramin et al.
2010) are reported beside it.

After a retrain, the codes are first grouped around the previous types. That grouping is kept where it is
nearly as tight as a new one of as many types, so that types change when behaviour does, not with every seed.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from feature_store.funnel import STRATA, strata
from feature_store.vector import N_SCALARS, SCALARS
from inference.catalogue import Catalogue, PersonaType, ProfileScale
from inference.graph import CODES
from training.errors import DatasetError
from training.type_names import Behaviour, describe_type, name_types
from training.ward import (
    distances_between,
    found_again,
    group_means,
    rand_index,
    scatter,
    settle,
    silhouette,
    ward_cuts,
)

MIN_TYPES: Final = 6
MAX_TYPES: Final = 12
MIN_SHARE: Final = 0.01
"""A type smaller than this is not worth a name, if another count can do without it."""
STABLE: Final = 0.75
AS_GOOD: Final = 1.1
"""The previous types are kept where the scatter inside them is at most so many times that of new ones."""
ALWAYS_SAME: Final = 0.1
"""A profile that moved by a tenth of a deviation is the same behaviour, however still its bootstrap lies."""
_RESAMPLES: Final = 30
_RESAMPLED_BUYERS: Final = 100_000
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


class TypeGroups(NamedTuple):
    """What the codes were grouped into.

    type_of_code int64 [256], an index into types: every code has exactly one type. kept holds the names
    taken over from the previous catalogue with the distance their profile moved. choice says how the count
    was chosen: for each one tried the stability of its least stable type, Rand index, silhouette and
    smallest share, and the seed.
    """

    type_of_code: Ints
    types: tuple[PersonaType, ...]
    scale: ProfileScale
    kept: dict[str, float]
    choice: dict[str, Any]


def group_codes(
    vectors: NDArray[np.float32],
    codes: Ints,
    stores: NDArray[Any],
    codebook: NDArray[np.float32],
    *,
    seed: int,
    previous: Catalogue | None = None,
) -> TypeGroups:
    """Group the codes of training buyers into named types, in the order of falling share.

    vectors float32 [n, 403] raw, whole histories; codes int64 [n]; stores [n], any labels; codebook
    float32 [256, 96]. A code without buyers takes the type of the nearest code that has some. With
    `previous`, a type whose profile lies where one of that catalogue's did keeps its name.

    Raises:
        DatasetError: there is no buyer.
    """
    if len(codes) == 0:
        raise DatasetError("there is no buyer to make types from; give data that holds buyers")
    old = _with_profiles(previous)
    own_scale = fit_scale(vectors)
    scale = old.scale if old is not None and old.scale is not None else own_scale
    points = profile_points(vectors, stores, scale)
    near = _nearest_codes(codebook)
    smoothed, weights = _profiles(points, codes, near)
    cuts = _cuts(smoothed, weights)
    samples = _resample(points, codes, near, np.random.default_rng(seed))
    again = [_cuts(sample.profiles, sample.weights) for sample in samples]
    count, tried = _choose_count(cuts, again, smoothed, weights)
    grouped, regrouped = cuts[count], [other.get(count) for other in again]
    as_before = None if old is None else _as_before(old, cuts, smoothed, weights)
    if as_before is not None:
        count = int(as_before.max()) + 1
        grouped, regrouped = as_before, [_settle_sample(as_before, sample) for sample in samples]

    labels = _by_share(_spread_to_unused(grouped, weights, codebook), weights)
    type_of_buyer = labels[codes]
    profiles = group_means(points, type_of_buyer, count)
    moved = [
        (points[sample.rows], other[codes[sample.rows]])
        for sample, other in zip(samples, regrouped, strict=True)
        if other is not None
    ]
    radii = _radii(profiles, moved)
    standard = points if scale == own_scale else profile_points(vectors, stores, own_scale)
    behaviours = _behaviours(vectors, standard, type_of_buyer, count)
    kept = {} if old is None else match_previous(profiles, radii, old)
    taken = {index: name for index, (name, _) in kept.items()}
    before = {kind.name for kind in previous.types} if previous is not None else set()
    names = name_types(behaviours, taken, retired=before - {*taken.values()})
    types = tuple(
        PersonaType(
            name=name,
            codes=tuple(np.flatnonzero(labels == index).tolist()),
            share=round(behaviours[index].share, 6),
            buyers=int((type_of_buyer == index).sum()),
            profile=tuple(profiles[index].round(4).tolist()),
            radius=round(float(radii[index]), 4),
            **describe_type(name, behaviours[index], behaviours),
        )
        for index, name in enumerate(names)
    )
    return TypeGroups(
        type_of_code=labels,
        types=types,
        scale=scale,
        kept={name: round(distance, 4) for name, distance in kept.values()},
        choice={
            "seed": seed,
            "resamples": _RESAMPLES,
            "types": count,
            "as_before": as_before is not None,
            "tried": tried,
        },
    )


def fit_scale(vectors: NDArray[np.float32]) -> ProfileScale:
    """Mean and deviation of the transformed scalars of raw vectors [n, 403]; 1 for a constant scalar."""
    scalars = _transformed(vectors)
    deviation = scalars.std(axis=0)
    deviation[deviation < 1e-6] = 1.0
    return ProfileScale(
        mean=tuple(scalars.mean(axis=0).round(6).tolist()), deviation=tuple(deviation.round(6).tolist())
    )


def profile_points(vectors: NDArray[np.float32], stores: NDArray[Any], scale: ProfileScale) -> Floats:
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


def match_previous(profiles: Floats, radii: Floats, previous: Catalogue) -> dict[int, tuple[str, float]]:
    """Which types are those of a previous catalogue: index -> (name, distance moved).

    profiles float64 [types, 20] in the previous scale, radii float64 [types]. Types are matched one to one
    (Hungarian) by the distance of their profiles. A pair counts where it is no further apart than what
    drawing the buyers again moves them (the sum of both radii, at least ALWAYS_SAME), and nearer than half
    way to the next type of the previous catalogue.
    """
    before = np.array([kind.profile for kind in previous.types])
    distances = distances_between(profiles, before)
    moves = radii[:, None] + np.array([kind.radius for kind in previous.types])
    allowed = np.minimum(np.maximum(moves, ALWAYS_SAME), _half_gaps(before))
    rows, columns = linear_sum_assignment(distances)
    return {
        int(row): (previous.types[column].name, float(distances[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if distances[row, column] <= allowed[row, column]
    }


def _with_profiles(previous: Catalogue | None) -> Catalogue | None:
    if previous is None or previous.scale is None or not previous.types:
        return None
    return previous if all(kind.profile for kind in previous.types) else None


def _as_before(previous: Catalogue, cuts: dict[int, Ints], profiles: Floats, weights: Floats) -> Ints | None:
    """The codes grouped around the previous types, or None where that groups them clearly worse."""
    used = np.flatnonzero(weights > 0)
    centres = np.array([kind.profile for kind in previous.types])
    nearest = distances_between(profiles[used], centres).argmin(axis=1)
    labels = np.full(CODES, -1)
    labels[used] = np.unique(nearest, return_inverse=True)[1]
    labels = settle(labels, profiles, weights)
    sizes = np.bincount(labels[used], weights[used]) / weights.sum()
    if len(sizes) not in cuts or sizes.min() < MIN_SHARE:
        return None
    best = scatter(cuts[len(sizes)], profiles, weights)
    return labels if scatter(labels, profiles, weights) <= AS_GOOD * best else None


def _settle_sample(labels: Ints, sample: _Sample) -> Ints | None:
    """A grouping found again in a bootstrap sample; None where a group has no buyer in it."""
    drawn = np.where(sample.weights > 0, labels, -1)
    whole = len(np.unique(drawn[drawn >= 0])) == labels.max() + 1
    return settle(drawn, sample.profiles, sample.weights) if whole else None


def _transformed(vectors: NDArray[np.float32]) -> Floats:
    return np.asarray(np.log1p(vectors[:, :N_SCALARS].astype(np.float64).clip(0.0, _MAX_RAW)))


def _nearest_codes(codebook: NDArray[np.float32]) -> Ints:
    """Every code's others, nearest first: int64 [256, 255]."""
    distances = distances_between(codebook.astype(np.float64), codebook.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    return np.asarray(np.argsort(distances, axis=1, kind="stable")[:, :-1])


def _profiles(points: Floats, codes: Ints, near: Ints) -> tuple[Floats, Floats]:
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


def _cuts(profiles: Floats, weights: Floats) -> dict[int, Ints]:
    """Groupings of the codes for each count: Ward's, settled."""
    cuts = ward_cuts(profiles, weights, MIN_TYPES, MAX_TYPES)
    return {count: settle(labels, profiles, weights) for count, labels in cuts.items()}


class _Sample(NamedTuple):
    """A bootstrap sample of the buyers: the rows drawn, and the smoothed profiles and weights of codes."""

    rows: Ints
    profiles: Floats
    weights: Floats


def _resample(points: Floats, codes: Ints, near: Ints, random: np.random.Generator) -> list[_Sample]:
    size = min(len(codes), _RESAMPLED_BUYERS)
    drawn = [random.integers(0, len(codes), size) for _ in range(_RESAMPLES)]
    return [_Sample(rows, *_profiles(points[rows], codes[rows], near)) for rows in drawn]


def _choose_count(
    cuts: dict[int, Ints], resampled: list[dict[int, Ints]], profiles: Floats, weights: Floats
) -> tuple[int, list[dict[str, float]]]:
    tried = []
    for count, labels in sorted(cuts.items()):
        again = [other[count] for other in resampled if count in other]
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
    stable = [row for row in large_enough if row["stability"] >= STABLE]
    best = stable[-1] if stable else max(large_enough, key=lambda row: row["stability"])
    return int(best["types"]), tried


def _spread_to_unused(labels: Ints, weights: Floats, codebook: NDArray[np.float32]) -> Ints:
    used = np.flatnonzero(weights > 0)
    whole = labels.copy()
    unused = np.flatnonzero(weights == 0)
    nearest = distances_between(
        codebook[unused].astype(np.float64), codebook[used].astype(np.float64)
    ).argmin(axis=1)
    whole[unused] = labels[used[nearest]]
    return whole


def _by_share(labels: Ints, weights: Floats) -> Ints:
    sizes = np.bincount(labels, weights)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return rank[labels]


def _radii(profiles: Floats, samples: list[tuple[Floats, Ints]]) -> Floats:
    """How far each type's profile moves, float64 [types]: the 95 % quantile over the bootstrap samples.

    A sample counts for a type where it holds the type at all: nearer than half way to another type.
    """
    half = _half_gaps(profiles)
    moved = [np.zeros(len(profiles))]
    for points, labels in samples:
        again = group_means(points, labels, int(labels.max()) + 1)
        distances = distances_between(profiles, again)
        rows, columns = linear_sum_assignment(distances)
        moved.append(np.where(distances[rows, columns] < half, distances[rows, columns], np.nan))
    return np.asarray(np.nanquantile(np.stack(moved), 0.95, axis=0))


def _half_gaps(profiles: Floats) -> Floats:
    """Half the distance from each profile to the next, float64 [types]; infinite for a single one."""
    apart = distances_between(profiles, profiles)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(apart.min(axis=1) / 2)


def _behaviours(
    vectors: NDArray[np.float32], points: Floats, type_of_buyer: Ints, count: int
) -> list[Behaviour]:
    standard = points[:, :N_SCALARS] / _WEIGHTS[:N_SCALARS]
    stratum = strata(vectors)
    found = []
    for index in range(count):
        mine = np.flatnonzero(type_of_buyer == index)
        found.append(
            Behaviour(
                share=len(mine) / len(vectors),
                raw=vectors[mine, :N_SCALARS].mean(axis=0, dtype=np.float64),
                standard=standard[mine].mean(axis=0),
                strata=np.bincount(stratum[mine], minlength=len(STRATA)) / len(mine),
            )
        )
    return found
