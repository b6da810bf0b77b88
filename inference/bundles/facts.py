"""Facts that types claim, and the type of a code that no fact denies.

A type claims how far its buyers came in the funnel, and some claim a first or a later visit
("returning-buyer"). Bundles of feature version 2 keep the claims in their catalogue, and no code of theirs
holds buyers of another fact cell. In bundles of version 1 a code may hold a few buyers whose facts deny its
type: these get the type nearest to it, among those that fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from feature_store.fold.funnel import DEPTHS, FACT_CELLS, VISITS, Depth, Visits, fact_cells
from inference.encoders.encoder import Encoding


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a type claims of each of its buyers; None where it claims nothing."""

    depth: Depth | None = None
    visits: Visits | None = None

    def hold_in(self, cell: int) -> bool:
        """Whether a fact cell (feature_store.fold.funnel) agrees with every claim."""
        depth, visits = DEPTHS[cell // len(VISITS)], VISITS[cell % len(VISITS)]
        return self.depth in (None, depth) and self.visits in (None, visits)

    def can_follow(self, cell: int) -> bool:
        """Whether the claims may hold at the end of the session of a buyer who is in this fact cell now."""
        depth, visits = cell // len(VISITS), VISITS[cell % len(VISITS)]
        return self.visits in (None, visits) and (self.depth is None or DEPTHS.index(self.depth) >= depth)


_DEPTH_OF_NOUN: Final[dict[str, Depth]] = {
    "buyer": "bought",
    "checkout-leaver": "checkout",
    "cart-builder": "carted",
}


def facts_of_name(name: str) -> Facts:
    """What the name of a version-1 type claims: those names were made by rule from the buyers' means."""
    depths = (depth for noun, depth in _DEPTH_OF_NOUN.items() if name.endswith(noun))
    depth: Depth = next(depths, "none")
    if name.startswith("one-visit-"):
        return Facts(depth=depth, visits="new")
    is_returning = name.startswith("returning-") or name.endswith("returner")
    return Facts(depth=depth, visits="returning" if is_returning else None)


class TypesByFact:
    """The types of one catalogue: which of them holds of a buyer, and which may come."""

    def __init__(
        self, facts: Sequence[Facts], codes: Sequence[Sequence[int]], centres: Sequence[Sequence[float]]
    ) -> None:
        """Of each type: its claims, its codes, and its centre (empty where the catalogue has none)."""
        n = len(facts)
        self._of_code = np.full(256, -1, dtype=np.int64)
        for index, mine in enumerate(codes):
            self._of_code[list(mine)] = index
        self._holding = np.full((n + 1, FACT_CELLS), -1, dtype=np.int64)
        self._may_come = np.zeros((n + 1, FACT_CELLS), dtype=np.bool_)
        for cell in range(FACT_CELLS):
            fitting = [i for i in range(n) if facts[i].hold_in(cell)]
            for own in range(n):
                self._may_come[own, cell] = facts[own].can_follow(cell)
                if fitting:
                    self._holding[own, cell] = _nearest(centres, own, fitting)

    def apply(self, encoding: Encoding, vectors: NDArray[np.float32]) -> Encoding:
        """The encoding of raw vectors float32 [n, W] with the type that holds now, and without forecasts that
        a fact rules out. A type is -1 where every type of the catalogue is denied."""
        cells = fact_cells(vectors)
        may_come = self._may_come[encoding.forecast, cells]
        return encoding._replace(
            type=self._holding[self._of_code[encoding.code], cells],
            forecast=np.where(may_come, encoding.forecast, -1),
            forecast_probability=np.where(may_come, encoding.forecast_probability, np.float32(np.nan)),
        )


def _nearest(centres: Sequence[Sequence[float]], own: int, fitting: Sequence[int]) -> int:
    """The one of `fitting` whose centre is nearest: itself where it fits, and the first of those without."""
    if own in fitting:
        return own
    return min(fitting, key=lambda i: float(np.linalg.norm(np.subtract(centres[i], centres[own]))))
