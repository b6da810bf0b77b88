"""What a study runs: contenders, seeds, held-out stores, terms to leave out, and how validation chooses."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from studies.encoder.part_names import CHECKS, PARTS, Check, Part
from studies.encoder.runs import PLAIN, Kind, Run, Runs
from studies.engine import Tell
from studies.sealed_test import Choice
from training.encoder.config import TrainConfig
from training.evaluation import measures as m
from training.evaluation.points import TRAIN, VALIDATION, Points
from training.evaluation.run_measures import AXES, Judged, panel

BRIEF: Final[dict[str, Any]] = {
    "epochs": 16,
    "warmup_epochs": 2,
    "patience": 16,
    "epoch_rows": 12_288,
    "batch_size": 256,
    "learning_rate": 2e-3,
}
"""A shorter training than `simpersona train`'s, so that a study's many runs fit into an hour."""
NO_TYPES: Final[dict[str, Any]] = {"forecast_epochs": 0}
WITHOUT: Final[dict[str, dict[str, Any]]] = {
    "what comes": {"outcomes_weight": 0.0},
    "teachers": {"teacher_share": 0.0},
    "rebuilding": {"rebuilding_weight": 0.0},
}
_LEAST_ON_VALIDATION: Final = 5  # buyers that a code needs there: the side is small
RULE: Final = (
    "on validation buyers of the training: the weight of rebuilding with which codes foresee best what comes "
    "(the least loss of the outcomes)"
)


class Plan(BaseModel):
    """The size of a study.

    few_seeds: of held-out stores with the funnel in sight, of generated traffic, of the plain VQ-VAE and
    the autoencoder; ablations have their own; all else is done on all seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    few_seeds: tuple[int, ...] = (0, 1)
    ablation_seeds: tuple[int, ...] = (0,)
    held_out: tuple[str, ...]
    parts: tuple[Part, ...] = PARTS
    rebuilding_weights: tuple[float, ...] = (0.1, 0.3, 1.0)
    base: dict[str, Any] = BRIEF


def checks_of(plan: Plan) -> list[Check]:
    """The sanity checks among its parts."""
    return [check for check in CHECKS if check in plan.parts]


class Runners(BaseModel):
    """The study's runs by contender, once the configuration is chosen."""

    model_config = ConfigDict(frozen=True)

    plan: Plan
    chosen: dict[str, Any]

    def model(self, **differs: Any) -> list[Run]:
        """The chosen encoder, one run a seed; `differs`: fields of Run."""
        config = self.plan.base | self.chosen
        return [Run(kind="model", seed=seed, **({"config": config} | differs)) for seed in self.plan.seeds]

    def without_types(self, **differs: Any) -> list[Run]:
        """The chosen encoder where nobody asks it for a type."""
        return self._few(self.model(config=self.plan.base | self.chosen | NO_TYPES, **differs))

    def plain(self) -> list[Run]:
        """The plain VQ-VAE."""
        return self._few(self.model(config=self.plan.base | PLAIN | NO_TYPES))

    def _few(self, runs: list[Run]) -> list[Run]:
        return [run for run in runs if run.seed in self.plan.few_seeds]

    def baseline(self, kind: Kind, **differs: Any) -> list[Run]:
        """A baseline, one run a seed."""
        return [Run(kind=kind, seed=seed, **differs) for seed in self.plan.seeds]

    def few(self, kind: Kind, **differs: Any) -> list[Run]:
        """A baseline on few seeds."""
        return self._few(self.baseline(kind, **differs))

    def without(self, differs: dict[str, Any]) -> list[Run]:
        """The chosen encoder with something changed."""
        config = self.plan.base | self.chosen | NO_TYPES | differs
        return [Run(kind="model", seed=seed, config=config) for seed in self.plan.ablation_seeds]

    def all(self) -> list[Run]:
        """The runs of all parts of the plan, part by part; some serve several."""
        parts = {
            "a": [*self.model(), *self.baseline("kmeans_standard")],
            "b": self._strong(),
            "e": [*self.without_types(view="generated"), *self.few("lloyd", view="generated")],
            "calibration": self.model(),
            "ablations": self.ablations(),
            "scaling": [run for store in self.plan.held_out for run in self.without_types(held_out=store)],
        }
        return [run for part in checks_of(self.plan) for run in parts[part]]

    def _strong(self) -> list[Run]:
        kinds: tuple[Kind, ...] = ("lloyd", "lloyd_levels", "kmeans_scalars")
        runs = [*self.model(), *(run for kind in kinds for run in self.baseline(kind)), Run(kind="grid")]
        runs += [*self.plain(), *self.few("autoencoder_kmeans")]
        for store in self.plan.held_out:
            runs += self.without_types(held_out=store)
            runs += self.few("lloyd", held_out=store) + self.few("lloyd_levels", held_out=store)
        return runs

    def ablations(self) -> list[Run]:
        """The chosen encoder as it is, and without each term."""
        return [run for differs in ({}, *WITHOUT.values()) for run in self.without(differs)]


def choose(plan: Plan, choice: Choice, runs: Runs, tell: Tell) -> Runners:
    """Let validation buyers choose what RULE says, once; `runs` must hold sealed points only."""
    frontier = {
        w: Run(kind="model", config=plan.base | NO_TYPES | {"rebuilding_weight": w})
        for w in plan.rebuilding_weights
    }
    lloyd = Run(kind="lloyd")
    every = [*frontier.values(), lloyd]

    def by_validation() -> dict[str, Any]:
        runs.do(every, tell)
        judged = _judged(runs.points["full"])
        figures = {str(w): _figures(judged, runs, run) for w, run in frontier.items()}
        losses = {str(w): float(runs.get(run).about["outcomes_loss"]) for w, run in frontier.items()}
        return {
            "seed": 0,
            "frontier": figures,
            "outcomes_loss": losses,
            "lloyd": _figures(judged, runs, lloyd),
            "chosen": {"rebuilding_weight": float(min(losses, key=lambda w: losses[w]))},
            "defaults": TrainConfig().model_dump(mode="json"),
        }

    chosen = choice.among([runs.path(run) for run in every], RULE, by_validation)["chosen"]
    return Runners(plan=plan, chosen=chosen)


def _judged(points: Points) -> Judged:
    return Judged.of(points, points.where(TRAIN), points.where(VALIDATION))


def _figures(judged: Judged, runs: Runs, run: Run) -> dict[str, float]:
    codes = runs.get(run).codes[: len(judged.points.side)]
    weights = m.once(len(judged.test))
    measured = panel(judged, codes, least=_LEAST_ON_VALIDATION)
    names = ["ch16", "purity", "perplexity", *(f"incoherence_{axis}" for axis in AXES)]
    return {name: float(np.nan_to_num(measured[name](weights)[0], nan=1.0)) for name in names}
