"""How many types: the largest count whose types all come out again and are large enough to be of use.

Ward's method (Ward 1963), codes weighted by their buyers, merges what is most alike; Lloyd steps then put
each code with the group whose centre is nearest. Each count is tried on bootstrap samples of the buyers. A
type comes out again if the type most like it in a sample shares, on average, 3 of 4 of both types' buyers
(Jaccard; Hennig 2007, Cluster-wise assessment of cluster stability). The adjusted Rand index and the
silhouette (simplified, Vendramin et al. 2010) are reported beside it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from training.types.space import Floats, Ints, code_profiles
from training.types.ward import found_again, rand_index, settle, silhouette, ward_cuts

MIN_TYPES: Final = 6
MAX_TYPES: Final = 12
MIN_SHARE: Final = 0.01
"""A type smaller than this is not worth a name, if another count can do without it."""
RESAMPLES: Final = 30
_STABLE: Final = 0.75
_RESAMPLED_BUYERS: Final = 100_000


def cut(profiles: Floats, weights: Floats) -> dict[int, Ints]:
    """Groupings of the codes for each count: Ward's, settled."""
    cuts = ward_cuts(profiles, weights, MIN_TYPES, MAX_TYPES)
    return {count: settle(labels, profiles, weights) for count, labels in cuts.items()}


class Sample(NamedTuple):
    """A bootstrap sample of the buyers: the rows drawn, and the smoothed profiles and weights of codes."""

    rows: Ints
    profiles: Floats
    weights: Floats


def resample(points: Floats, codes: Ints, near: Ints, random: np.random.Generator) -> list[Sample]:
    """Bootstrap samples of buyers with these points and codes; near: see nearest_codes."""
    size = min(len(codes), _RESAMPLED_BUYERS)
    drawn = [random.integers(0, len(codes), size) for _ in range(RESAMPLES)]
    return [Sample(rows, *code_profiles(points[rows], codes[rows], near)) for rows in drawn]


def choose_count(
    cuts: dict[int, Ints], resampled: list[dict[int, Ints]], profiles: Floats, weights: Floats
) -> tuple[int, list[dict[str, float]]]:
    """The count to take, and for each one tried how stable it is; resampled: the groupings of each sample.

    Where no count is stable, the one whose least stable type comes out most often.
    """
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
    stable = [row for row in large_enough if row["stability"] >= _STABLE]
    best = stable[-1] if stable else max(large_enough, key=lambda row: row["stability"])
    return int(best["types"]), tried
