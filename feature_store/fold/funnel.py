"""How far a buyer got in the funnel: the four strata of SimPersona (paper.md, How the codes are judged)."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import SCALARS

Stratum = Literal["A", "B", "C", "D"]
STRATA: Final[tuple[str, ...]] = get_args(Stratum)
"""A purchased, B reached checkout, C added to cart, D did none of these."""

_COLUMN: Final = {scalar.name: i for i, scalar in enumerate(SCALARS)}


def strata(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The furthest stratum of raw vectors float32 [n, 16 or more]: int64 [n], an index into STRATA."""
    reached = [vectors[:, _COLUMN[name]] > 0 for name in ("purchases", "checkouts", "carts")]
    return np.select(reached, [0, 1, 2], default=3).astype(np.int64)
