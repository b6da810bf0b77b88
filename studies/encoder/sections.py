"""The parts of the study, each as figures: what was asked, what came out, won or missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from feature_store.fold.funnel import STRATA, strata
from studies.encoder.baselines import gradient_boosting
from studies.encoder.generated_traffic import Truth, judge_generated
from studies.encoder.part_names import Check
from studies.encoder.plan import WITHOUT, Runners, checks_of
from studies.encoder.runs import Run, Runs
from training.evaluation.baselines import everyone_looks, mask_rule
from training.evaluation.landmarks import calibration
from training.evaluation.points import LANDMARKS, TEST, TRAIN, VALIDATION, Points
from training.evaluation.run_measures import AXES, Compared, Judged, Panel, panel, reference, store_divergence

Figures = dict[str, Any]
INCOHERENCE: Final = [f"incoherence_{axis}" for axis in AXES]
PAPER: Final = [
    "ch16_standard",
    "ch403_standard",
    "purity",
    *INCOHERENCE,
    "js",
    *(f"d_{axis}" for axis in AXES),
    "d_exact_purchase",
]
STRONG: Final = [
    "ch16",
    "incoherence_engagement",
    "incoherence_exploration",
    "fifth_engagement",
    "fifth_exploration",
    "perplexity",
    "purity",
]


def bar(asked: str, value: Any, won: bool) -> Figures:
    """One bar of the issue: what was asked, the figure, and whether it holds."""
    return {"asked": asked, "value": value, "won": bool(won)}


class Study:
    """Figures of all parts, from runs that are done."""

    def __init__(self, runs: Runs, runners: Runners, truth: Truth | None) -> None:
        self._runs = runs
        self._of = runners
        self._truth = truth
        full = runs.points["full"]
        self._in_store = Judged.of(full, full.where(TRAIN), full.where(TEST))

    def figures(self, tell: Callable[[str], None]) -> dict[Check, Figures]:
        """The sanity checks of the plan."""
        parts: dict[Check, Callable[[], Figures]] = {
            "a": self.paper_setting,
            "b": self.strong_baselines,
            "e": self.ground_truth,
            "calibration": self.calibration,
            "ablations": self.ablations,
            "scaling": self.scaling,
        }
        made: dict[Check, Figures] = {}
        for name in checks_of(self._of.plan):
            tell(f"figures: {name}")
            made[name] = parts[name]()
        return made

    def _panels(self, judged: Judged, runs: Sequence[Run]) -> list[Panel]:
        return [panel(judged, self._runs.get(run).codes[: len(judged.points.side)]) for run in runs]

    def _compared(
        self,
        judged: Judged,
        contenders: Mapping[str, Sequence[Run]],
        names: Sequence[str],
        extra: dict[str, Panel],
    ) -> Compared:
        panels = {who: self._panels(judged, runs) for who, runs in contenders.items()}
        return Compared.of(panels | {who: [one] for who, one in extra.items()}, judged.bootstrap(), names)

    def paper_setting(self) -> Figures:
        """Part a."""
        judged = self._in_store
        contenders = {"model": self._of.model(), "k-means": self._of.baseline("kmeans_standard")}
        compared = self._compared(judged, contenders, PAPER, {})
        apart = {name: compared.difference("model", "k-means", name) for name in PAPER}
        bars = [
            bar(f"{name} better than k-means", apart[name]["mean"], apart[name]["better"])
            for name in PAPER
            if name not in ("ch403_standard", "incoherence_purchase", "d_exact_purchase")
        ]
        worst = max(compared.figure("model", name)["mean"] for name in INCOHERENCE)
        bars.append(bar("incoherence at most 0.5 %, the worst axis", worst, worst <= 0.005))
        return {"figures": compared.as_json(), "differences": apart, "bars": bars, "buyers": len(judged.test)}

    def strong_baselines(self) -> Figures:
        """Part b and, for the purity with the funnel in sight, part f."""
        judged = self._in_store
        contenders = {
            "model": self._of.model(),
            "plain VQ-VAE": self._of.plain(),
            "Lloyd": self._of.baseline("lloyd"),
            "Lloyd + levels": self._of.baseline("lloyd_levels"),
            "MiniBatch on the 16": self._of.baseline("kmeans_scalars"),
            "autoencoder + k-means": self._of.few("autoencoder_kmeans"),
            "grid of 36": [Run(kind="grid")],
        }
        compared = self._compared(judged, contenders, STRONG, _references(judged))
        ratio = compared.figure("model", "ch16")["mean"] / compared.figure("Lloyd", "ch16")["mean"]
        perplexity = compared.figure("model", "perplexity")["mean"]
        bars = []
        for axis in AXES[:2]:
            value = compared.figure("model", f"incoherence_{axis}")["mean"]
            bars.append(bar(f"{axis} incoherence in-store at most 1.5 %", value, value <= 0.015))
        held_out = {store: self._held_out(store) for store in self._of.plan.held_out}
        for store, part in held_out.items():
            for axis in AXES[:2]:
                value = part["figures"]["model"][f"incoherence_{axis}"]["mean"]
                bars.append(
                    bar(f"{axis} incoherence on {store}, held out, at most 3 %", value, value <= 0.03)
                )
        bars.append(bar("CH on the 16 at least 70 % of Lloyd's", ratio, ratio >= 0.7))
        bars.append(bar("perplexity at least 150", perplexity, perplexity >= 150))
        names = ["ch16", "incoherence_engagement", "incoherence_exploration", "purity"]
        others = ("plain VQ-VAE", "Lloyd", "Lloyd + levels")
        return {
            "figures": compared.as_json(),
            "differences": {o: {n: compared.difference("model", o, n) for n in names} for o in others},
            "held_out": held_out,
            "bars": bars,
        }

    def _of_store(self, points: Points, store: str) -> Judged:
        index = points.stores.index(store)
        others = [i for i in range(len(points.stores)) if i != index]
        test = np.flatnonzero((points.store == index) & (points.side != VALIDATION))
        return Judged.of(points, points.where(TRAIN, others), test)

    def _held_out(self, store: str) -> Figures:
        judged = self._of_store(self._runs.points["full"], store)
        contenders = {
            "model": self._of.without_types(held_out=store),
            "Lloyd": self._of.few("lloyd", held_out=store),
            "Lloyd + levels": self._of.few("lloyd_levels", held_out=store),
        }
        names = ["purity", "incoherence_engagement", "incoherence_exploration", "js", "perplexity"]
        extra = _references(judged) | {"pooled mix": _pooled(judged)}
        compared = self._compared(judged, contenders, names, extra)
        return {"figures": compared.as_json(), "buyers": len(judged.test)}

    def calibration(self) -> Figures:
        """For the API's confidence (issue 5, part 3)."""
        points = self._runs.points["full"]
        return calibration(points, [self._runs.get(run) for run in self._of.model()], LANDMARKS)

    def ground_truth(self) -> Figures:
        """Part e."""
        assert self._truth is not None  # run_study sees to it
        runs = {
            "model": [self._runs.get(run) for run in self._of.without_types(view="generated")],
            "Lloyd": [self._runs.get(run) for run in self._of.few("lloyd", view="generated")],
        }
        return judge_generated(self._runs.points["generated"], self._truth, runs, LANDMARKS)

    def ablations(self) -> Figures:
        """The chosen encoder with each term left out."""
        judged = self._in_store
        contenders = {
            "chosen": self._of.without({}),
        }
        contenders |= {f"without {what}": self._of.without(differs) for what, differs in WITHOUT.items()}
        names = ["ch16", "purity", "js", *INCOHERENCE, "perplexity"]
        compared = self._compared(judged, contenders, names, {})
        return {
            "seeds": list(self._of.plan.ablation_seeds),
            "figures": compared.as_json(),
            "differences": {
                who: {name: compared.difference(who, "chosen", name) for name in names}
                for who in contenders
                if who != "chosen"
            },
        }

    def scaling(self) -> Figures:
        """A store never seen: the training stores' scale, or one from a sketch of its first buyers."""
        parts = {}
        names = ["purity", "js", "incoherence_engagement", "incoherence_exploration", "perplexity"]
        for store in self._of.plan.held_out:
            judged = self._of_store(self._runs.points["full"], store)
            coded = [self._runs.get(run) for run in self._of.without_types(held_out=store)]
            whole = [one.codes[: len(one.sketched)] for one in coded]
            sketched = [
                np.where(one.sketched >= 0, one.sketched, codes)
                for one, codes in zip(coded, whole, strict=True)
            ]
            panels = {
                "global": [panel(judged, codes) for codes in whole],
                "sketch": [panel(judged, codes) for codes in sketched],
            }
            compared = Compared.of(panels, judged.bootstrap(), names)
            parts[store] = {
                "figures": compared.as_json(),
                "differences": {name: compared.difference("sketch", "global", name) for name in names},
            }
        return parts


def _references(judged: Judged) -> dict[str, Panel]:
    """Part f: what purity is worth without any codes."""
    test, learned = judged.points.whole(judged.test), judged.points.whole(judged.train)
    boosting = gradient_boosting(learned.astype(np.float64), strata(learned), seed=0)
    predicted = np.asarray(boosting.predict(test.astype(np.float64)), dtype=np.int64)
    known = {
        "everyone is D": everyone_looks(test),
        "gradient boosting": predicted,
        "mask rule": mask_rule(test),
    }
    return {who: reference(judged, predicted) for who, predicted in known.items()}


def _pooled(judged: Judged) -> Panel:
    """A store's mix guessed as that of all training buyers."""
    mix = np.bincount(judged.strata[judged.train], minlength=len(STRATA)) / len(judged.train)
    mixes = np.tile(mix, (len(judged.test), 1))
    return {"js": partial(store_divergence, judged, mixes)}
