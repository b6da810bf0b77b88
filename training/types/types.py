"""Codes -> 8 to 12 types: the fact cells, of which those of lookers are cut by what their codes foresee.

A code belongs to one fact cell, so its type is a fact for six of the eight cells. Most shoppers only look;
they are cut into tiers by how likely their codes make it that the session goes deeper into the funnel,
against the average looker of the same store. The borders are fixed numbers (names.py), not quantiles, and a
code's chance is drawn to the average where few rows know it, so a retrain moves a type only if behaviour did.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.funnel import DEPTHS, FACT_CELLS, VISITS, Depth, Visits, fact_cells
from inference.bundles.catalogue import PersonaType
from inference.bundles.facts import Facts
from inference.encoders.graph import CODES
from training.encoder.dataset import BuyerVectors
from training.encoder.outcomes import is_over
from training.encoder.sampling import store_index
from training.types.names import TIERS, Tier, describe_type, type_name

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_PRIOR_ROWS: Final = 20.0
"""A code's chance is drawn to the average as if so many rows more had that."""


class TypeGroups(NamedTuple):
    """What the codes were grouped into.

    type_of_code int64 [256], an index into types: every code has exactly one type. lift float64 [256]: how
    many times as likely as the average looker of the same store a session of a looker's code goes deeper, 1
    for codes of other cells.
    """

    type_of_code: Ints
    types: tuple[PersonaType, ...]
    lift: Floats

    def described(self) -> list[dict[str, Any]]:
        """Each type's name, share, and the lowest and highest lift of its codes, ready for JSON."""
        return [
            {
                "name": kind.name,
                "share": kind.share,
                "codes": len(kind.codes),
                "lift": [round(float(edge(self.lift[list(kind.codes)])), 3) for edge in (np.min, np.max)],
            }
            for kind in self.types
        ]


class _Kind(NamedTuple):
    depth: Depth
    visits: Visits
    tier: Tier | None
    codes: Ints


def group_codes(data: BuyerVectors, rows: Ints, codes: Ints, cell_of_code: Ints) -> TypeGroups:
    """Group the codes into named types, by cell and tier.

    rows int64 [m]: of training buyers, with codes int64 [m]; cell_of_code int64 [256].
    """
    inside = (data.position[rows] > 0) & is_over(data)[rows]
    deeper = _depth(data, data.session_end[rows]) > _depth(data, rows)
    store = store_index(data)[data.buyer[rows]]
    looks = inside & (_depth(data, rows) == 0)
    lift = _lift(codes[looks], deeper[looks], store[looks])
    whole = data.whole[rows]
    types: list[PersonaType] = []
    type_of_code = np.empty(CODES, dtype=np.int64)
    for depth, visits, tier, mine in _kinds(cell_of_code, lift):
        type_of_code[mine] = len(types)
        buyers = int(np.isin(codes[whole], mine).sum())
        share = buyers / max(int(whole.sum()), 1)
        judged = inside & np.isin(codes, mine)
        goes_deeper = float(deeper[judged].mean()) if judged.any() and depth != DEPTHS[-1] else None
        types.append(
            PersonaType(
                name=type_name(depth, visits, tier),
                codes=tuple(mine.tolist()),
                share=round(share, 6),
                buyers=buyers,
                facts=Facts(depth=depth, visits=visits),
                **describe_type(depth, visits, tier, share=share, goes_deeper=goes_deeper),
            )
        )
    return TypeGroups(type_of_code, tuple(types), lift)


def _kinds(cell_of_code: Ints, lift: Floats) -> Iterator[_Kind]:
    for cell in range(FACT_CELLS):
        depth = cast(Depth, DEPTHS[cell // len(VISITS)])
        visits = cast(Visits, VISITS[cell % len(VISITS)])
        mine = np.flatnonzero(cell_of_code == cell)
        if depth != get_args(Depth)[0]:
            yield _Kind(depth, visits, None, mine)
            continue
        tier_of = np.searchsorted([tier.least for tier in TIERS], lift[mine], side="right") - 1
        for index, tier in enumerate(TIERS):
            if (tier_of == index).any():
                yield _Kind(depth, visits, tier, mine[tier_of == index])


def _lift(codes: Ints, deeper: NDArray[np.bool_], store: Ints) -> Floats:
    """How many times as likely as in the average row of its store a row of each code goes deeper [256]."""
    rows = np.bincount(store)
    rate = np.bincount(store, deeper) / np.maximum(rows, 1)
    expected = np.bincount(codes, rate[store], minlength=CODES) if len(codes) else np.zeros(CODES)
    seen = np.bincount(codes, deeper, minlength=CODES)
    prior = _PRIOR_ROWS * float(deeper.mean()) if deeper.any() else 1.0
    return np.asarray((seen + prior) / (expected + prior))


def _depth(data: BuyerVectors, rows: Ints) -> Ints:
    return np.asarray(fact_cells(data.vectors[rows]) // len(VISITS))
