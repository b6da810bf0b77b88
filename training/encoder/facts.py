"""What has happened, as a rule of the vector: how far into the funnel, and whether this is the first visit.

No network decides about facts. Every code belongs to one fact cell, and a buyer only gets codes of their own
cell, so neither a code nor a type can deny what a buyer has done.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import SCALARS

DEPTHS: Final = ("none", "carted", "checkout", "bought")
VISITS: Final = ("new", "returning")
CELLS: Final = len(DEPTHS) * len(VISITS)
"""Cell 2 d + v: depth d of DEPTHS, visits v of VISITS."""

_COLUMN: Final = {scalar.name: i for i, scalar in enumerate(SCALARS)}
_SESSIONS: Final = _COLUMN["sessions"]
_STEPS: Final = [_COLUMN[name] for name in ("carts", "checkouts", "purchases")]


def fact_cells(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Cells int64 [n] of raw vectors float32 [n, W], whole history: depth as funnel.strata, and visits."""
    depth = len(STRATA) - 1 - strata(vectors)
    return np.asarray(len(VISITS) * depth + (vectors[:, _SESSIONS] > 1))


def fact_cells_in_graph(vectors: Tensor) -> Tensor:
    """The same cells of a tensor, in operations that export."""
    steps = (vectors[:, _STEPS] > 0).long()
    carted, checkout, bought = steps[:, 0], steps[:, 1], steps[:, 2]
    depth = (bought * 3).maximum(checkout * 2).maximum(carted)
    return len(VISITS) * depth + (vectors[:, _SESSIONS] > 1).long()


def may_become(before: int, after: int) -> bool:
    """Whether a buyer of one cell can be in the other by the end of the session: only deeper, same visits."""
    return before % len(VISITS) == after % len(VISITS) and before <= after
