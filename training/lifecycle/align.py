"""Codes keep their meaning across retrains: new codes are matched to old ones and take their numbers.

Two codebooks learned apart number the same shoppers differently. On a common set of rows, which both
have encoded, the matching of new to old codes that keeps most rows on their number is a linear
assignment problem (Kuhn 1955; scipy's solver follows Crouse 2016). Behaviour profiles, the mean of
a code's rows, decide where rows do not: between codes that share none, and whether a pair that the
solver was left with is a pair at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from inference.bundles.catalogue import Catalogue

Status = Literal["kept", "new", "retired"]

_PROFILE_WEIGHT: Final = 1e-3
"""Of a perfect likeness of profiles, in rows shared: over 256 codes it never outweighs one row."""


class Alignment(NamedTuple):
    """How a new codebook is numbered after an old one.

    numbers int64 [K]: the number that each new code takes, a permutation. status, by number: kept (the
    shopper of the old code), new (another shopper: the old code of this number is retired, or had no
    rows), retired (the old code had rows, the new one has none), None (neither has rows). successor
    int64 [K] and shared float64 [K], by old code: the number most of its rows have now, and which share
    of them (-1 and 0 where it had none).
    """

    numbers: NDArray[np.int64]
    status: list[Status | None]
    successor: NDArray[np.int64]
    shared: NDArray[np.float64]


def align_codes(
    old: NDArray[np.int64], new: NDArray[np.int64], features: NDArray[np.float32], size: int
) -> Alignment:
    """Number the codes `new` int64 [n] after `old` int64 [n], codes of the same rows in two codebooks.

    features float32 [n, d] are the rows on comparable scales: a code's profile is their mean. size is
    the number of codes, K, in either.
    """
    counts = np.zeros((size, size))
    np.add.at(counts, (new, old), 1)
    new_rows, old_rows = counts.sum(axis=1), counts.sum(axis=0)
    distance = _distances(profiles(new, features, size), profiles(old, features, size))
    scale = _spacing(profiles(old, features, size)[old_rows > 0])
    likeness = np.exp(-np.square(distance / scale))
    likeness[new_rows == 0] = likeness[:, old_rows == 0] = 0.0
    # Two codes without rows are a perfect pair: they leave the others alone and keep numbers in place.
    likeness[np.ix_(new_rows == 0, old_rows == 0)] = 1.0
    likeness += np.eye(size) * 1e-6
    made, matched = linear_sum_assignment(counts + _PROFILE_WEIGHT * likeness, maximize=True)
    numbers = np.empty(size, dtype=np.int64)
    numbers[made] = matched

    moved, distance, new_rows = (table[np.argsort(numbers)] for table in (counts, distance, new_rows))
    used_new, used_old = new_rows > 0, old_rows > 0
    most = 2 * np.diagonal(moved) > np.minimum(new_rows, old_rows)
    pair = most | (np.diagonal(distance) <= scale)
    return Alignment(
        numbers=numbers,
        status=[_status(*flags) for flags in zip(used_new, used_old, pair, strict=True)],
        successor=np.where(used_old, moved.argmax(axis=0), -1),
        shared=np.divide(moved.max(axis=0), old_rows, out=np.zeros(size), where=used_old),
    )


def _status(used_new: bool, used_old: bool, pair: bool) -> Status | None:
    if used_new:
        return "kept" if used_old and pair else "new"
    return "retired" if used_old else None


def profiles(codes: NDArray[np.int64], features: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """Mean of features float32 [n, d] by code, float64 [size, d]; NaN for a code without rows."""
    rows = np.bincount(codes, minlength=size)
    sums = np.zeros((size, features.shape[1]))
    np.add.at(sums, codes, features)
    return np.divide(sums, rows[:, None], out=np.full_like(sums, np.nan), where=rows[:, None] > 0)


def _distances(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    square = (
        np.square(left).sum(axis=1)[:, None] - 2.0 * left @ right.T + np.square(right).sum(axis=1)[None, :]
    )
    distance: NDArray[np.float64] = np.nan_to_num(np.sqrt(np.maximum(square, 0.0)), nan=np.inf)
    return distance


def _spacing(profile: NDArray[np.float64]) -> float:
    """How far a code is from its nearest neighbour, in the median: what is nearer is the same shopper."""
    if len(profile) < 2:
        return 1.0
    distance = _distances(profile, profile)
    np.fill_diagonal(distance, np.inf)
    return max(float(np.median(distance.min(axis=1))), 1e-9)


def same_share(old: NDArray[np.int64], new: NDArray[np.int64]) -> float:
    """Share of rows whose code (int64 [n] each) is the same."""
    return float(np.mean(old == new)) if len(old) else float("nan")


def with_status(catalogue: Catalogue, status: Sequence[Status | None]) -> Catalogue:
    """The catalogue whose cards say what became of each code."""
    cards = zip(catalogue.codes, status, strict=True)
    return msgspec.structs.replace(
        catalogue, codes=tuple(msgspec.structs.replace(card, status=status) for card, status in cards)
    )


def describe_alignment(alignment: Alignment, figures: Mapping[str, Any]) -> dict[str, Any]:
    """alignment.json: how the figures came out, and for each old code where it is now.

    `new` is the code's own number where it was kept and null where it was not; `successor` is the code
    that most of its buyers have now, so that a trace tagged by the old codebook can be tagged anew.
    """
    return {
        **figures,
        "codes": [
            {
                "old": code,
                "new": code if status == "kept" else None,
                "status": status,
                "successor": int(successor) if successor >= 0 else None,
                "shared": round(float(shared), 4),
            }
            for code, (status, successor, shared) in enumerate(
                zip(alignment.status, alignment.successor, alignment.shared, strict=True)
            )
        ],
    }
