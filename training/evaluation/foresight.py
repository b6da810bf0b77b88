"""What belonging to a group (a code, a type, a rule's answer) says of what comes next.

A group's score is the rate at which an outcome came to learned rows of the group, drawn to what other shops
saw of the group and to the shop's own rate, so that a rare group says little.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PRIOR_OF_ALL: Final = 20.0
"""As if so many rows more of a group had the common rate."""
PRIOR_OF_SHOP: Final = 10.0
"""As if so many rows more of a shop's group had the group's rate in all shops."""
_MOST: Final = 0.999


def base_rates(cell: Ints, happened: Bools, learned: Bools) -> Floats:
    """Rate of each row's cell (a shop at a place in the session) among learned rows, float64 [n]; half a row
    of each kind is added, so that no rate is 0 or 1."""
    size = int(cell.max(initial=0)) + 1
    came = np.bincount(cell[learned], happened[learned], minlength=size)
    rows = np.bincount(cell[learned], minlength=size)
    return np.asarray(((came + 0.5) / (rows + 1.0))[cell])


def group_rates(group: Ints, shop: Ints, base: Floats, happened: Bools, learned: Bools) -> Floats:
    """Probability of the outcome by group, float64 [n], of all rows, fitted on the learned ones.

    With y the outcomes and b the base rates of a group's learned rows, in all shops or in shop s:

    lift_k = (sum y + 20 r) / (sum b + 20 r), r the rate of all learned rows;
    lift_sk = (sum y + 10 r_s lift_k) / (sum b + 10 r_s), r_s that of the shop's; score = b lift_sk.
    """
    size = int(group.max(initial=0)) + 1
    came, expected = (
        np.bincount(group[learned], values[learned], minlength=size) for values in (happened, base)
    )
    common = PRIOR_OF_ALL * max(float(base[learned].mean()) if learned.any() else 0.0, 1e-9)
    lift = (came + common) / (expected + common)

    pair = shop * size + group
    pairs = (int(shop.max(initial=0)) + 1) * size
    came, expected = (
        np.bincount(pair[learned], values[learned], minlength=pairs) for values in (happened, base)
    )
    of_shop = np.bincount(shop[learned], base[learned], minlength=pairs // size)
    rows = np.bincount(shop[learned], minlength=pairs // size)
    own = np.repeat(PRIOR_OF_SHOP * np.maximum(of_shop / np.maximum(rows, 1), 1e-9), size)
    lift_in_shop = (came + own * np.tile(lift, pairs // size)) / (expected + own)
    return np.asarray(np.minimum(base * lift_in_shop[pair], _MOST))
