"""Cells (a shop, a place in the session, an outcome), how well scores do in them, and figures over many.

AUC and lift are within a cell; a figure is the mean over cells of a shop, then over shops. Intervals: buyers
are drawn shop by shop, the same for all contenders; over several shops, the shops are drawn anew as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from studies.encoder.useful.scene import END, Floats, Ints, Scene, places_of
from training.encoder.outcomes import OUTCOMES
from training.evaluation import measures as m
from training.evaluation.bootstrap import Bootstrap

SAMPLES: Final = 200
LEAST_SHOWN: Final = 10
"""A cell with fewer of a kind has no AUC."""
LEAST_JUDGED: Final = 100
"""A figure of cells with fewer positives is shown, and decides nothing."""
FUNNEL: Final = ("cart", "checkout", "purchase")
GROUPS: Final[dict[str, tuple[tuple[int, str], ...]]] = {
    **{f"rest @{place}": tuple((place, name) for name in FUNNEL) for place in (1, 3, 5, 10)},
    "rest": tuple((place, name) for place in (3, 5, 10) for name in FUNNEL),
    "leaves": tuple((place, name) for place in (3, 5, 10) for name in ("leaves_1", "leaves_3")),
    "next session": ((END, "next_cart"), (END, "next_purchase")),
    "returns": ((END, "returns"),),
}
"""Groups of cells that a figure is the mean of; the bars are about `rest` and `leaves`."""


class Cell(NamedTuple):
    """store, an index; place; outcome, an index into OUTCOMES; rows int64 [m] of the scene."""

    store: int
    place: int
    outcome: int
    rows: Ints

    @property
    def key(self) -> tuple[int, str]:
        """As GROUPS name it."""
        return self.place, OUTCOMES[self.outcome]


def cells_of(scene: Scene) -> list[Cell]:
    """The cells with enough rows of both kinds."""
    found = []
    for store in range(len(scene.stores)):
        for outcome in range(len(OUTCOMES)):
            for place in places_of(outcome):
                rows = scene.judged_rows(store, outcome, place)
                came = int(scene.happened[rows, outcome].sum())
                if LEAST_SHOWN <= came <= len(rows) - LEAST_SHOWN:
                    found.append(Cell(store, place, outcome, rows))
    return found


class Measured(NamedTuple):
    """One contender in all cells: auc and lift float64 [cells, 1 + SAMPLES], the buyers as they are first;
    log_loss and ece (its excess) float64 [cells]."""

    auc: Floats
    lift: Floats
    log_loss: Floats
    ece: Floats


def measure(scene: Scene, cells: Sequence[Cell], score: Callable[[int], Floats]) -> Measured:
    """Judge a contender; score(outcome): the probability that it states, float64 [n]."""
    bootstraps = _Draws(scene)
    auc, lift, loss, ece = [], [], [], []
    for cell in cells:
        stated, came = score(cell.outcome)[cell.rows], scene.happened[cell.rows, cell.outcome]
        weights = bootstraps.weights(cell)
        auc.append(m.auc(stated, came, weights))
        lift.append(m.lift(stated, came, weights))
        loss.append(float(m.log_loss(stated, came, weights[:1])[0]))
        ece.append(m.calibration_excess(stated, came, seed=0, draws=50))
    return Measured(np.array(auc), np.array(lift), np.array(loss), np.array(ece))


class _Draws:
    """The same draws of buyers for every contender and cell of a shop."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._of: dict[int, tuple[Ints, Floats]] = {}

    def weights(self, cell: Cell) -> Floats:
        """Weights float64 [1 + SAMPLES, m] of the cell's rows; all rows of a buyer are drawn together."""
        if cell.store not in self._of:
            rows = self._scene.judged & (self._scene.store == cell.store)
            buyers = np.unique(self._scene.data.buyer[rows])
            drawn = Bootstrap(len(buyers), seed=cell.store, samples=SAMPLES).all(lambda weights: weights)
            self._of[cell.store] = buyers, drawn
        buyers, drawn = self._of[cell.store]
        return np.asarray(drawn[:, np.searchsorted(buyers, self._scene.data.buyer[cell.rows])])


def figure(scene: Scene, cells: Sequence[Cell], values: Floats, group: str) -> dict[str, Any] | None:
    """A group's figure over its cells [cells, 1 + SAMPLES] of one contender, or of a difference; None where
    no cell is of the group."""
    of = [i for i, cell in enumerate(cells) if cell.key in GROUPS[group]]
    if not of:
        return None
    shops = sorted({cells[i].store for i in of})
    by_shop = np.stack(
        [np.nanmean([values[i] for i in of if cells[i].store == shop], axis=0) for shop in shops]
    )
    came = sum(int(scene.happened[cells[i].rows, cells[i].outcome].sum()) for i in of)
    low, high = np.nanpercentile(_drawn_anew(by_shop), (2.5, 97.5))
    within = np.nanpercentile(by_shop[:, 1:].mean(axis=0), (2.5, 97.5))
    return {
        "value": float(by_shop[:, 0].mean()),
        "low": float(low),
        "high": float(high),
        "same shops": [float(end) for end in within],
        "cells": len(of),
        "shops": len(shops),
        "positives": came,
    }


def _drawn_anew(by_shop: Floats) -> Floats:
    """Means over shops that were drawn anew, of buyers who were: float64 [SAMPLES]; by_shop float64 [shops,
    1 + SAMPLES]."""
    shops, draws = by_shop.shape
    if shops == 1:
        return by_shop[0, 1:]
    random = np.random.default_rng(shops)
    chosen = random.integers(0, shops, (SAMPLES, shops))
    which = random.integers(1, draws, (SAMPLES, shops))
    return np.asarray(by_shop[chosen, which].mean(axis=1))


def mean_of(measured: Iterable[Measured]) -> Measured:
    """The mean over seeds."""
    return Measured(*(np.mean(columns, axis=0) for columns in zip(*measured, strict=True)))
