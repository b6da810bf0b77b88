"""Types across retrains: what of the previous catalogue stays, so that types change when behaviour does.

The codes are first grouped around the previous types. That grouping is kept where it is nearly as tight as
a new one of as many types. A type keeps its name where its profile moved no further than the profile of
the same behaviour moves from one draw of the buyers to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from inference.bundles.catalogue import Catalogue
from inference.encoders.graph import CODES
from training.types.grouping import MIN_SHARE, Cuts, settle
from training.types.measures import Floats, Ints, distances_between, group_means, scatter

_AS_GOOD: Final = 1.1
"""The previous types are kept where the scatter inside them is at most so many times that of new ones."""
_ALWAYS_SAME: Final = 0.1
"""A profile that moved by a tenth of a deviation is the same behaviour, however still its bootstrap lies."""


def with_profiles(previous: Catalogue | None) -> Catalogue | None:
    """The previous catalogue if its types can be compared with; None for one of before types had profiles."""
    if previous is None or previous.scale is None or not previous.types:
        return None
    return previous if all(kind.centre for kind in previous.types) else None


def group_as_before(
    previous: Catalogue, whole: Cuts, samples: Sequence[Cuts]
) -> tuple[Ints, list[Ints | None]] | None:
    """The codes grouped around the previous types, and that grouping found again in each bootstrap sample.

    Groupings are int64 [256]; a sample's is None where a group has no buyer in it. None in all where the new
    grouping of as many types is clearly better.
    """
    labels = _around(previous, whole)
    count = int(labels.max()) + 1
    sizes = np.bincount(labels[labels >= 0], whole.weights[labels >= 0]) / whole.weights.sum()
    if count not in whole.groups or sizes.min() < MIN_SHARE:
        return None
    best = scatter(whole.groups[count], whole.profiles, whole.weights)
    if scatter(labels, whole.profiles, whole.weights) > _AS_GOOD * best:
        return None
    return labels, [_found_again(labels, sample) for sample in samples]


def _around(previous: Catalogue, whole: Cuts) -> Ints:
    used = np.flatnonzero(whole.weights > 0)
    centres = np.array([kind.centre for kind in previous.types])
    nearest = distances_between(whole.profiles[used], centres).argmin(axis=1)
    labels = np.full(CODES, -1)
    labels[used] = np.unique(nearest, return_inverse=True)[1]
    return settle(labels, whole.profiles, whole.weights)


def _found_again(labels: Ints, sample: Cuts) -> Ints | None:
    drawn = np.where(sample.weights > 0, labels, -1)
    whole = len(np.unique(drawn[drawn >= 0])) == labels.max() + 1
    return settle(drawn, sample.profiles, sample.weights) if whole else None


def profile_radii(profiles: Floats, samples: list[tuple[Floats, Ints]]) -> Floats:
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


def match_previous(profiles: Floats, radii: Floats, previous: Catalogue) -> dict[int, tuple[str, float]]:
    """Which types are those of a previous catalogue: index -> (name, distance moved).

    profiles float64 [types, 20] in the previous scale, radii float64 [types]. Types are matched one to one
    (Hungarian) by the distance of their profiles. A pair counts where it is no further apart than what
    drawing the buyers again moves them (the sum of both radii, at least a tenth of a deviation), and
    nearer than half way to the next type of the previous catalogue.
    """
    before = np.array([kind.centre for kind in previous.types])
    distances = distances_between(profiles, before)
    moves = radii[:, None] + np.array([kind.radius for kind in previous.types])
    allowed = np.minimum(np.maximum(moves, _ALWAYS_SAME), _half_gaps(before))
    rows, columns = linear_sum_assignment(distances)
    return {
        int(row): (previous.types[column].name, float(distances[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if distances[row, column] <= allowed[row, column]
    }


def _half_gaps(profiles: Floats) -> Floats:
    """Half the distance from each profile to the next, float64 [types]; infinite for a single one."""
    apart = distances_between(profiles, profiles)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(apart.min(axis=1) / 2)
