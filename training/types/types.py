"""Codes -> 6 to 12 types: groups of codes whose buyers behave alike.

The codes' profiles (training.types.space) are grouped for each count of types, and the count is chosen by
what comes out again on other buyers (training.types.count). After a retrain the previous types stay where
they are nearly as good (training.types.previous). What comes out is named (training.types.names).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import N_SCALARS
from inference.bundles.catalogue import Catalogue, PersonaType, ScalarScale
from training.errors import DatasetError
from training.types.count import RESAMPLES, choose_count, cut, resample
from training.types.names import Behaviour, describe_type, name_types
from training.types.previous import (
    group_as_before,
    match_previous,
    profile_radii,
    settle_sample,
    with_profiles,
)
from training.types.space import (
    Floats,
    Ints,
    code_profiles,
    deviations,
    fit_scale,
    nearest_codes,
    type_points,
)
from training.types.ward import distances_between, group_means


class TypeGroups(NamedTuple):
    """What the codes were grouped into.

    type_of_code int64 [256], an index into types: every code has exactly one type. kept holds the names
    taken over from the previous catalogue with the distance their profile moved. choice says how the count
    was chosen: for each one tried the stability of its least stable type, Rand index, silhouette and
    smallest share, and the seed.
    """

    type_of_code: Ints
    types: tuple[PersonaType, ...]
    scale: ScalarScale
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
    old = with_profiles(previous)
    own_scale = fit_scale(vectors)
    scale = old.scale if old is not None and old.scale is not None else own_scale
    points = type_points(vectors, stores, scale)
    near = nearest_codes(codebook)
    smoothed, weights = code_profiles(points, codes, near)
    cuts = cut(smoothed, weights)
    samples = resample(points, codes, near, np.random.default_rng(seed))
    again = [cut(sample.profiles, sample.weights) for sample in samples]
    count, tried = choose_count(cuts, again, smoothed, weights)
    grouped, regrouped = cuts[count], [other.get(count) for other in again]
    as_before = None if old is None else group_as_before(old, cuts, smoothed, weights)
    if as_before is not None:
        count = int(as_before.max()) + 1
        grouped, regrouped = as_before, [settle_sample(as_before, sample) for sample in samples]

    labels = _by_share(_spread_to_unused(grouped, weights, codebook), weights)
    type_of_buyer = labels[codes]
    profiles = group_means(points, type_of_buyer, count)
    moved = [
        (points[sample.rows], other[codes[sample.rows]])
        for sample, other in zip(samples, regrouped, strict=True)
        if other is not None
    ]
    radii = profile_radii(profiles, moved)
    standard = points if scale == own_scale else type_points(vectors, stores, own_scale)
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
            centre=tuple(profiles[index].round(4).tolist()),
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
            "resamples": RESAMPLES,
            "types": count,
            "as_before": as_before is not None,
            "tried": tried,
        },
    )


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


def _behaviours(
    vectors: NDArray[np.float32], points: Floats, type_of_buyer: Ints, count: int
) -> list[Behaviour]:
    standard = deviations(points)
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
