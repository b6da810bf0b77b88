"""Codes -> 6 to 12 types: groups of codes whose buyers behave alike.

`group_codes` is the door, and says in which order to read. Buyers become points, codes profiles, profiles
groups (grouping.py, with its measures in measures.py). After a retrain the previous groups stay where they
are nearly as good, and names where profiles hardly moved (previous.py). What comes out is named and
described (names.py). The forecast of these types is trained and judged in forecast.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import N_SCALARS
from inference.bundles.catalogue import Catalogue, PersonaType, ScalarScale
from training.errors import DatasetError
from training.types.grouping import (
    RESAMPLES,
    choose_count,
    cut,
    deviations,
    draws,
    fit_scale,
    nearest_codes,
    type_points,
)
from training.types.measures import Floats, Ints, distances_between, group_means
from training.types.names import Behaviour, describe_type, name_types
from training.types.previous import group_as_before, match_previous, profile_radii, with_profiles


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

    near, drawn = nearest_codes(codebook), draws(len(codes), seed)
    whole = cut(points, codes, near)
    samples = [cut(points[rows], codes[rows], near) for rows in drawn]
    count, tried = choose_count(whole, samples)
    grouped, again = whole.groups[count], [sample.groups.get(count) for sample in samples]
    as_before = None if old is None else group_as_before(old, whole, samples)
    if as_before is not None:
        grouped, again = as_before

    type_of_code = _by_share(_spread_to_unused(grouped, whole.weights, codebook), whole.weights)
    type_of_buyer = type_of_code[codes]
    profiles = group_means(points, type_of_buyer, int(grouped.max()) + 1)
    redrawn = [
        (points[rows], labels[codes[rows]])
        for rows, labels in zip(drawn, again, strict=True)
        if labels is not None
    ]
    radii = profile_radii(profiles, redrawn)

    standard = points if scale == own_scale else type_points(vectors, stores, own_scale)
    behaviours = _behaviours(vectors, deviations(standard), type_of_buyer, len(profiles))
    kept = {} if old is None else match_previous(profiles, radii, old)
    names = _named(behaviours, {index: name for index, (name, _) in kept.items()}, previous)
    types = tuple(
        PersonaType(
            name=name,
            codes=tuple(np.flatnonzero(type_of_code == index).tolist()),
            share=round(behaviours[index].share, 6),
            buyers=int((type_of_buyer == index).sum()),
            centre=tuple(profiles[index].round(4).tolist()),
            radius=round(float(radii[index]), 4),
            **describe_type(name, behaviours[index], behaviours),
        )
        for index, name in enumerate(names)
    )
    return TypeGroups(
        type_of_code=type_of_code,
        types=types,
        scale=scale,
        kept={name: round(distance, 4) for name, distance in kept.values()},
        choice={
            "seed": seed,
            "resamples": RESAMPLES,
            "types": len(types),
            "as_before": as_before is not None,
            "tried": tried,
        },
    )


def _named(behaviours: list[Behaviour], kept: dict[int, str], previous: Catalogue | None) -> list[str]:
    before = {kind.name for kind in previous.types} if previous is not None else set()
    return name_types(behaviours, kept, retired=before - {*kept.values()})


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
    vectors: NDArray[np.float32], standard: Floats, type_of_buyer: Ints, count: int
) -> list[Behaviour]:
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
