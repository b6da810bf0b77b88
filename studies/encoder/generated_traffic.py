"""Part e: traffic whose buyers' latent types are known."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score

from inference.encoders.graph import CODES
from training.evaluation import measures as m
from training.evaluation.coded import Coded
from training.evaluation.points import TEST, TRAIN, Points

Ints = NDArray[np.int64]


class Truth(NamedTuple):
    """What the generator knows.

    latent int64 [buyers], index into names; posterior: for each number of events (0: the whole history) the
    likeliest type int64 [buyers] by the generator's own likelihood of those events.
    """

    names: tuple[str, ...]
    latent: Ints
    posterior: dict[int, Ints]


def judge_generated(
    points: Points, truth: Truth, runs: dict[str, list[Coded]], landmarks: tuple[int, ...]
) -> dict[str, Any]:
    """Adjusted mutual information of codes and latent types, and accuracy after so many events.

    AMI = (I - E[I]) / (mean of both entropies - E[I]) (Vinh et al. 2010). Accuracy of codes: a code says
    the latent type that most training buyers with it, at the same number of events, have.
    """
    out: dict[str, Any] = {}
    for events in (*landmarks, 0):
        rows = np.arange(len(points.side)) if events == 0 else points.data.landmark(events)
        buyer = points.data.buyer[rows]
        learned, judged = points.side[buyer] == TRAIN, points.side[buyer] == TEST
        actual = truth.latent[buyer]
        figures: dict[str, Any] = {}
        for who, coded in runs.items():
            figures[who] = [_agreement(one.codes[rows], actual, learned, judged, truth) for one in coded]
        best = truth.posterior[events][buyer[judged]]
        figures["posterior"] = [
            {
                "ami": float(adjusted_mutual_info_score(actual[judged], best)),
                "accuracy": float((best == actual[judged]).mean()),
            }
        ]
        share = np.bincount(actual[judged]).max() / judged.sum()
        out[str(events or "all")] = {"buyers": int(judged.sum()), "commonest": float(share), **figures}
    return out


def _agreement(
    codes: Ints, actual: Ints, learned: NDArray[np.bool_], judged: NDArray[np.bool_], truth: Truth
) -> dict[str, float]:
    predicted = m.majorities(codes[learned], actual[learned], len(truth.names), CODES)[codes[judged]]
    return {
        "ami": float(adjusted_mutual_info_score(actual[judged], codes[judged])),
        "accuracy": float((predicted == actual[judged]).mean()),
    }
