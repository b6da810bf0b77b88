"""The study: points, choice on validation, runs, figures. Long, and resumable run by run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from feature_store.fold.funnel import STRATA, strata
from studies.encoder.generated_traffic import Truth
from studies.encoder.plan import Plan, choose
from studies.encoder.runs import Runs
from studies.encoder.sections import Study
from studies.engine import Tell, require_stores
from studies.sealed_test import Choice
from training.errors import EvaluationError
from training.evaluation import bootstrap, measures
from training.evaluation.points import LANDMARKS, SHARES, TEST, TRAIN, Points, select


class Inputs(NamedTuple):
    """What a study reads. full: histories; generated: traffic with known latent types, or None; sources: one
    line per file; split_seed: what drew the sides."""

    full: Points
    generated: tuple[Points, Truth] | None
    sources: list[str]
    split_seed: int


def run_study(inputs: Inputs, plan: Plan, work: Path, tell: Tell) -> dict[str, Any]:
    """All figures of the report, as one JSON document; `work` keeps what is done.

    Raises:
        EvaluationError: a held-out store is not in the data; or the folder's choice does not fit.
    """
    require_stores(plan.held_out, inputs.full.stores, "events")
    if "e" in plan.parts and inputs.generated is None:
        raise EvaluationError("part e needs generated traffic")
    choice = Choice(work / "choice.json")
    tell("validation chooses the weight of rebuilding; the test buyers are sealed")
    views = {"full": inputs.full}
    untested = {view: without_test(points) for view, points in views.items()}
    runners = choose(plan, choice, Runs(work / "runs", untested), tell)
    choice.open()
    truth = None
    if inputs.generated is not None and "e" in plan.parts:
        views["generated"], truth = inputs.generated
    runs = Runs(work / "runs", views)
    tell("the choice is fixed; the test buyers are opened")
    everything = runners.all()
    runs.do(everything, tell)
    figures = Study(runs, runners, truth).figures(tell)
    seconds = [runs.get(run).about["seconds"] for run in everything if run.kind == "model"]
    return {
        "setup": _setup(inputs, plan) | {"models": len(seconds), "median_seconds": float(np.median(seconds))},
        "choice": choice.read(),
        **{str(part): made for part, made in figures.items()},
    }


def without_test(points: Points) -> Points:
    """The points without any row of a test buyer: all that validation may see."""
    kept = np.flatnonzero(points.side != TEST)
    return Points(select(points.data, kept), points.stores, points.store[kept], points.side[kept])


def _setup(inputs: Inputs, plan: Plan) -> dict[str, Any]:
    full = inputs.full
    labels = strata(full.whole(np.arange(len(full.side))))
    stores = {}
    for index, store in enumerate(full.stores):
        of = full.store == index
        stores[store] = {
            "train": int((of & (full.side == TRAIN)).sum()),
            "test": int((of & (full.side == TEST)).sum()),
            "buyers": int(of.sum()),
            "strata": dict(zip(STRATA, np.bincount(labels[of], minlength=len(STRATA)).tolist(), strict=True)),
        }
    return {
        "sources": inputs.sources,
        "split_seed": inputs.split_seed,
        "plan": plan.model_dump(mode="json"),
        "sides": dict(zip(("train", "validation", "test"), SHARES, strict=True)),
        "stores": stores,
        "landmarks": list(LANDMARKS),
        "bootstrap_samples": bootstrap.SAMPLES,
        "least_buyers": measures.LEAST_BUYERS,
        "mixed": measures.MIXED,
        "mixed_buyers": measures.MIXED_BUYERS,
        "generated_buyers": 0 if inputs.generated is None else len(inputs.generated[0].side),
    }
