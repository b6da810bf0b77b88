"""All measures of one run on one set of judged buyers, and runs compared with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import N_SCALARS
from inference.encoders.graph import CODES
from training.encoder.axes import HIGH, LOW, MID, Axes
from training.evaluation import measures as m
from training.evaluation.baselines import balanced_space, standard_space
from training.evaluation.bootstrap import Bootstrap, Estimate, Measure, interval
from training.evaluation.points import Points

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Panel = dict[str, Measure]
"""Measures of one run by name."""

AXES: Final = ("engagement", "exploration", "purchase")
BETTER_LOW: Final = frozenset({"js", "brier", *(f"incoherence_{axis}" for axis in AXES)})
_ENDS: Final = np.array([LOW, MID, MID, HIGH])  # of the four depths: D is the low end, A the high one


class Judged(NamedTuple):
    """Judged buyers (int64, indices into Points), the training buyers that meaning is fixed on, and what
    all runs share: axes and spaces as fitted on the training buyers, strata of all buyers."""

    points: Points
    train: Ints
    test: Ints
    axes: Axes
    strata: Ints
    scores: tuple[Floats, ...]
    levels: tuple[Ints, ...]
    spaces: dict[str, Floats]

    @classmethod
    def of(cls, points: Points, train: Ints, test: Ints) -> Judged:
        """What is known of the judged buyers before any run."""
        learned, judged = points.whole(train), points.whole(test)
        everyone = points.whole(np.arange(len(points.side)))
        axes = Axes.fit(learned)
        engagement, exploration = axes.scores(everyone)
        levels = axes.levels(judged)
        standard = standard_space(learned)(judged)
        balanced = balanced_space(learned)(judged)
        return cls(
            points=points,
            train=train,
            test=test,
            axes=axes,
            strata=strata(everyone),
            scores=(engagement, exploration, axes.levels(everyone).purchase.astype(np.float64)),
            levels=(levels.engagement, levels.exploration, _ENDS[levels.purchase]),
            spaces={
                "ch16_standard": standard[:, :N_SCALARS],
                "ch403_standard": standard,
                "ch16": balanced[:, :N_SCALARS],
            },
        )

    def bootstrap(self, seed: int = 0) -> Bootstrap:
        """Samples of the judged buyers, store by store."""
        return Bootstrap(len(self.test), seed, strata=self.points.store[self.test])


def panel(judged: Judged, codes: Ints, least: int = m.LEAST_BUYERS) -> Panel:
    """The measures of codes int64 [buyers] (of whole histories) on the judged buyers."""
    learned, tested = codes[judged.train], codes[judged.test]
    labels, reached = judged.strata[judged.train], judged.strata[judged.test]
    guess = m.majorities(learned, labels, len(STRATA), CODES)[tested]
    mixes = m.stratum_mixes(learned, labels, len(STRATA), CODES)[tested]
    measured: Panel = {
        "purity": partial(m.accuracy, guess, reached),
        "macro_recall": partial(m.macro_recall, guess, reached, len(STRATA)),
        "js": partial(store_divergence, judged, mixes),
        "perplexity": partial(m.perplexity, tested),
    }
    for name, space in judged.spaces.items():
        measured[name] = partial(m.calinski_harabasz, space, tested)
    for axis, levels, scores in zip(AXES, judged.levels, judged.scores, strict=True):
        measured[f"incoherence_{axis}"] = partial(m.incoherence, tested, levels, least=least)
        measured[f"fifth_{axis}"] = partial(m.incoherence, tested, levels, least=least, mixed=0.2)
        means = m.code_means(codes[judged.train], scores[judged.train], CODES)
        predicted, known, actual = means[tested], means[learned], scores[judged.test]
        measured[f"d_{axis}"] = partial(m.cohens_d, m.thirds(predicted, known), actual)
        measured[f"d_exact_{axis}"] = partial(m.cohens_d_of_shares, m.exact_thirds(predicted, known), actual)
    return measured


def reference(judged: Judged, predicted: Ints) -> Panel:
    """The measures of a rule that predicts a stratum, int64 [judged], and no code."""
    actual = judged.strata[judged.test]
    return {
        "purity": partial(m.accuracy, predicted, actual),
        "macro_recall": partial(m.macro_recall, predicted, actual, len(STRATA)),
        "js": partial(store_divergence, judged, np.eye(len(STRATA))[predicted]),
    }


def store_divergence(judged: Judged, mixes: Floats, weights: Floats) -> Floats:
    """Mean over the judged stores of their funnel divergence."""
    store, actual = judged.points.store[judged.test], judged.strata[judged.test]
    parts = [
        m.funnel_divergence(mixes[store == one], actual[store == one], weights[:, store == one])
        for one in np.unique(store)
    ]
    return np.asarray(np.mean(parts, axis=0))


class Compared(NamedTuple):
    """Contenders' figures: values[contender][measure] is float64 [seeds, 1 + samples], the buyers as they
    are first and then the bootstrap samples, the same for all."""

    values: dict[str, dict[str, Floats]]

    @classmethod
    def of(
        cls, contenders: Mapping[str, Sequence[Panel]], bootstrap: Bootstrap, names: Sequence[str]
    ) -> Compared:
        """Measure every contender (one panel a seed) by each of the named measures that it has."""
        values: dict[str, dict[str, Floats]] = {}
        for who, panels in contenders.items():
            values[who] = {
                name: np.stack([bootstrap.all(one[name]) for one in panels])
                for name in names
                if name in panels[0]
            }
        return cls(values)

    def figure(self, who: str, name: str) -> dict[str, Any]:
        """Mean over seeds, its interval by buyers, and each seed's value."""
        return _mean_and_seeds(self.values[who][name])

    def difference(self, who: str, other: str, name: str) -> dict[str, Any]:
        """who - other on the same samples; by seed where both have as many, else from the other's mean."""
        mine, theirs = self.values[who][name], self.values[other][name]
        if len(theirs) != len(mine):
            theirs = theirs.mean(axis=0, keepdims=True)
        apart = mine - theirs
        sign = -1 if name in BETTER_LOW else 1
        ends = [interval(float(row[0]), row[1:]) for row in sign * apart]
        return _mean_and_seeds(apart) | {
            "seeds_interval_above_0": sum(end.low > 0 for end in ends),
            "intervals": [sorted((sign * end.low, sign * end.high)) for end in ends],
            "better": bool((sign * apart[:, 0]).mean() > 0),
        }

    def as_json(self) -> dict[str, Any]:
        """Every figure."""
        return {
            who: {name: self.figure(who, name) for name in measured} for who, measured in self.values.items()
        }


def _mean_and_seeds(values: Floats) -> dict[str, Any]:
    mean = values.mean(axis=0)
    estimate: Estimate = interval(float(mean[0]), mean[1:])
    return {
        "mean": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "seeds": values[:, 0].tolist(),
    }
