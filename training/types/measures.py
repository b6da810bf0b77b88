"""How good a grouping of codes is, and how like another.

A grouping is a label int64 [256] of each code, -1 where it is not labelled; weights float64 [256] are the
buyers of each code, so all measures are over buyers, not over codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def group_means(points: Floats, group: Ints, groups: int, weights: Floats | None = None) -> Floats:
    """Mean of points float64 [n, d] by group int64 [n]: float64 [groups, d], 0 for an empty group."""
    totals = np.bincount(group, weights, minlength=groups)
    sums = [
        np.bincount(group, column if weights is None else column * weights, minlength=groups)
        for column in points.T
    ]
    return np.asarray(np.stack(sums, axis=1) / np.maximum(totals, 1e-12)[:, None])


def distances_between(a: Floats, b: Floats) -> Floats:
    """Euclidean, float64 [len(a), len(b)]."""
    return np.asarray(np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2)))


def scatter(labels: Ints, profiles: Floats, weights: Floats) -> float:
    """Weighted squared distance of codes from the centres of their groups: what Ward keeps small."""
    used = labels >= 0
    centres = group_means(profiles[used], labels[used], int(labels.max()) + 1, weights[used])
    square = ((profiles[used] - centres[labels[used]]) ** 2).sum(axis=1)
    return float((weights[used] * square).sum())


def found_again(a: Ints, b: Ints, weights: Floats) -> Floats:
    """For each group of a, the Jaccard index of its buyers with those of the group of b most like it."""
    table = _shared(a, b, weights)
    either = table.sum(axis=1)[:, None] + table.sum(axis=0)[None, :] - table
    return np.asarray((table / either).max(axis=1))


def rand_index(a: Ints, b: Ints, weights: Floats) -> float:
    """Adjusted Rand index (Hubert and Arabie 1985) of two groupings; codes unlabelled in one are left out."""
    table = _shared(a, b, weights)
    total = _pairs(table.sum())
    together = _pairs(table).sum()
    in_a, in_b = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum()
    if total == 0:
        return 1.0
    expected, largest = in_a * in_b / total, (in_a + in_b) / 2
    return 1.0 if largest == expected else float((together - expected) / (largest - expected))


def _shared(a: Ints, b: Ints, weights: Floats) -> Floats:
    known = (a >= 0) & (b >= 0)
    table = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(table, (a[known], b[known]), weights[known])
    return table


def _pairs(n: Any) -> Any:
    return n * (n - 1) / 2


def silhouette(profiles: Floats, labels: Ints, weights: Floats) -> float:
    """Mean simplified silhouette (Vendramin et al. 2010): how much nearer the own group's centre is than
    the next; in [-1, 1], 0 where there is one group."""
    if labels.max() == 0:
        return 0.0
    used = np.flatnonzero(labels >= 0)
    own = labels[used]
    centres = group_means(profiles[used], own, int(own.max()) + 1, weights[used])
    distances = distances_between(profiles[used], centres)
    mine = distances[np.arange(len(used)), own]
    distances[np.arange(len(used)), own] = np.inf
    other = distances.min(axis=1)
    return float(
        np.average((other - mine) / np.maximum(np.maximum(other, mine), 1e-12), weights=weights[used])
    )
