"""The fact cell in the graph: feature_store.fold.funnel.fact_cells in operations that export.

No network decides about facts. Every code belongs to one fact cell, and a buyer only gets codes of their own
cell, so neither a code nor a type can deny what a buyer has done.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor

from feature_store.fold.funnel import VISITS
from feature_store.fold.vector import SCALARS

_COLUMN: Final = {scalar.name: i for i, scalar in enumerate(SCALARS)}
_SESSIONS: Final = _COLUMN["sessions"]
_STEPS: Final = [_COLUMN[name] for name in ("carts", "checkouts", "purchases")]


def cells_of(vectors: Tensor) -> Tensor:
    """Fact cells int64 [n] of raw vectors float32 [n, W]."""
    carted, checkout, bought = ((vectors[:, column] > 0).long() for column in _STEPS)
    depth = (bought * 3).maximum(checkout * 2).maximum(carted)
    return len(VISITS) * depth + (vectors[:, _SESSIONS] > 1).long()
