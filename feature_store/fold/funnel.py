"""The facts of a buyer: how far they got in the funnel (the four strata of SimPersona; paper.md, How the
codes are judged), and whether they came back."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import SCALARS

Stratum = Literal["A", "B", "C", "D"]
STRATA: Final[tuple[str, ...]] = get_args(Stratum)
"""A purchased, B reached checkout, C added to cart, D did none of these."""

Depth = Literal["none", "carted", "checkout", "bought"]
DEPTHS: Final[tuple[str, ...]] = get_args(Depth)
"""The strata as facts, shallowest first: D, C, B, A."""
Visits = Literal["new", "returning"]
VISITS: Final[tuple[str, ...]] = get_args(Visits)
"""In their first session, or in a later one."""
FACT_CELLS: Final = len(DEPTHS) * len(VISITS)

_COLUMN: Final = {scalar.name: i for i, scalar in enumerate(SCALARS)}


def strata(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The furthest stratum of raw vectors float32 [n, 16 or more]: int64 [n], an index into STRATA."""
    reached = [vectors[:, _COLUMN[name]] > 0 for name in ("purchases", "checkouts", "carts")]
    return np.select(reached, [0, 1, 2], default=3).astype(np.int64)


def fact_cells(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The fact cell of raw vectors float32 [n, 16 or more]: int64 [n] in [0, 8), 2 * index into DEPTHS +
    index into VISITS. It holds of a buyer's whole history, and never gets shallower."""
    depth = len(STRATA) - 1 - strata(vectors)
    return 2 * depth + (vectors[:, _COLUMN["sessions"]] > 1)
