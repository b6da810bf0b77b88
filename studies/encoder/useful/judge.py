"""The figures of one scene: every contender in every group of cells, differences, and the bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np

from studies.encoder.useful.answers import Answers
from studies.encoder.useful.cells import (
    GROUPS,
    LEAST_JUDGED,
    Cell,
    Measured,
    cells_of,
    figure,
    mean_of,
    measure,
)
from studies.encoder.useful.contenders import CODE, TYPE, WITH_COUNTS, our_scores
from studies.encoder.useful.references import ALL, COUNTS, GRID_KMEANS
from studies.encoder.useful.scene import Floats, Scene
from training.encoder.outcomes import OUTCOMES

Figures = dict[str, Any]
BEST_MODEL: Final = "the better of logistic and boosting on all that the encoder sees"
COUNTS_ALONE: Final = f"logistic, {COUNTS}, per shop"
JUDGED_GROUPS: Final = ("rest", "leaves")


class Asked(NamedTuple):
    """One bar: `who` less `other`, and what the low end of the interval must reach by group."""

    who: str
    other: str
    least: Mapping[str, float]


BARS: Final = (
    Asked(CODE, BEST_MODEL, {"rest": -0.02, "leaves": -0.05}),
    Asked(CODE, GRID_KMEANS, {"rest": 0.03, "leaves": 0.03}),
    Asked(TYPE, CODE, {"rest": -0.03, "leaves": -0.03}),
    Asked(WITH_COUNTS, COUNTS_ALONE, {"rest": 0.0, "leaves": 0.0}),
)
UNSEEN_BARS: Final = (Asked(CODE, GRID_KMEANS, {"rest": -0.02, "leaves": -0.02}),)


class Judgement(NamedTuple):
    """Contenders measured in the cells of a scene; ours is the mean over seeds."""

    scene: Scene
    cells: list[Cell]
    measured: dict[str, Measured]
    seeds: int

    @classmethod
    def of(cls, scene: Scene, references: Mapping[str, Floats], ours: Sequence[Answers]) -> Self:
        """Measure all; references: name -> probabilities float64 [8, n]; ours: one per seed."""
        cells = cells_of(scene)
        measured = {name: measure(scene, cells, stated.__getitem__) for name, stated in references.items()}
        by_seed = [
            {name: measure(scene, cells, _once(score)) for name, score in our_scores(scene, one).items()}
            for one in ours
        ]
        for name in by_seed[0] if by_seed else ():
            measured[name] = mean_of(one[name] for one in by_seed)
        return cls(scene, cells, measured, len(by_seed))

    def figures(self) -> Figures:
        """AUC and lift of every contender by group, log loss and calibration over the judged cells, shop by
        shop and pooled; and every cell."""
        return {
            "contenders": {
                name: {
                    "auc": self._groups(one.auc),
                    "lift": self._groups(one.lift),
                    "log_loss": _mean_in(self.cells, one.log_loss),
                    "ece": _mean_in(self.cells, one.ece),
                }
                for name, one in self.measured.items()
            },
            "shops": {
                store: {
                    name: {group: self._figure(one.auc, group, [index]) for group in JUDGED_GROUPS}
                    for name, one in self.measured.items()
                }
                for index, store in enumerate(self.scene.stores)
                if any(cell.store == index for cell in self.cells)
            },
            "cells": [self._cell(i, cell) for i, cell in enumerate(self.cells)],
            "seeds": self.seeds,
        }

    def bars(self, bars: Sequence[Asked], where: str, shops: Sequence[int] | None = None) -> list[Figures]:
        """Whether the low ends of the paired differences reach what was asked; won is None where fewer than
        LEAST_JUDGED positives decide nothing."""
        made = []
        for asked in bars:
            if asked.who not in self.measured:
                continue
            for group, least in asked.least.items():
                other = self._best_model(group, shops) if asked.other == BEST_MODEL else asked.other
                if other is None or other not in self.measured:
                    continue
                apart = self.difference(asked.who, other, group, shops)
                if apart is None:
                    continue
                judged = apart["positives"] >= LEAST_JUDGED
                made.append(
                    {
                        "where": where,
                        "asked": f"{asked.who} less {other}, {group}: low end at least {least:+.2f}",
                        "who": asked.who,
                        "other": other,
                        "group": group,
                        "least": least,
                        "value": apart,
                        "won": bool(apart["low"] >= least) if judged else None,
                    }
                )
        return made

    def difference(
        self, who: str, other: str, group: str, shops: Sequence[int] | None = None
    ) -> Figures | None:
        """AUC of who less that of other on the same draws."""
        return self._figure(self.measured[who].auc - self.measured[other].auc, group, shops)

    def _best_model(self, group: str, shops: Sequence[int] | None) -> str | None:
        """The one with the highest AUC on the judged rows themselves: the hardest to stand beside."""
        names = [name for name in self.measured if f", {ALL}, " in name]
        worth = {name: self._figure(self.measured[name].auc, group, shops) for name in names}
        known = {name: one["value"] for name, one in worth.items() if one is not None}
        return max(known, key=known.__getitem__) if known else None

    def _groups(self, values: Floats) -> Figures:
        return {group: self._figure(values, group, None) for group in GROUPS}

    def _figure(self, values: Floats, group: str, shops: Sequence[int] | None) -> Figures | None:
        kept = [i for i, cell in enumerate(self.cells) if shops is None or cell.store in shops]
        return figure(self.scene, [self.cells[i] for i in kept], values[kept], group)

    def _cell(self, index: int, cell: Cell) -> Figures:
        came = self.scene.happened[cell.rows, cell.outcome]
        return {
            "shop": self.scene.stores[cell.store],
            "event": cell.place or "end",
            "outcome": OUTCOMES[cell.outcome],
            "rows": len(cell.rows),
            "positives": int(came.sum()),
            "judged": bool(came.sum() >= LEAST_JUDGED),
            "auc": {name: float(one.auc[index, 0]) for name, one in self.measured.items()},
        }


def _once(score: Callable[[int], Floats]) -> Callable[[int], Floats]:
    """Each outcome's scores are made once."""
    made: dict[int, Floats] = {}

    def kept(outcome: int) -> Floats:
        if outcome not in made:
            made[outcome] = score(outcome)
        return made[outcome]

    return kept


def _mean_in(cells: Sequence[Cell], values: Floats) -> float:
    """Mean over the cells of the judged groups."""
    keys = {key for group in JUDGED_GROUPS for key in GROUPS[group]}
    return float(np.mean([value for cell, value in zip(cells, values, strict=True) if cell.key in keys]))
