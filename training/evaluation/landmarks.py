"""What is known early: buyers as they looked after 3, 5 or 10 events, none of the funnel yet.

A landmark holds every buyer who came so far, also those whose history ends there. ("The first half of a
session" would leak its length.)
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.evaluation import measures as m
from training.evaluation.coded import Coded
from training.evaluation.points import TEST, TRAIN, Points
from training.evaluation.run_measures import Panel

Ints = NDArray[np.int64]


class Landmark(NamedTuple):
    """Rows after so many events."""

    events: int
    points: Points
    learned: Ints
    """[m], rows of points.data: of training buyers."""
    judged: Ints
    """[k], rows of points.data: of test buyers."""

    @classmethod
    def of(cls, points: Points, events: int) -> Landmark:
        """The landmark's rows of training and of test buyers."""
        rows = points.landmark(events)
        side = points.side[points.data.buyer[rows]]
        return cls(events, points, rows[side == TRAIN], rows[side == TEST])


def type_agreement(landmark: Landmark, coded: Coded, stated: Ints) -> Panel:
    """Kappa of stated types int64 [judged] with the type when the session ends; none, -1, is a kind too."""
    end = types_at_end(landmark.points, coded, landmark.judged)
    return {"type_kappa": partial(m.kappa, stated + 1, end + 1)}


def types_at_end(points: Points, coded: Coded, rows: Ints) -> Ints:
    """The type of each row's buyer at the end of the session, by the code that it then has."""
    return np.asarray(coded.type_of_code[coded.codes[points.data.session_end[rows]]])


def calibration(points: Points, runs: list[Coded], events: tuple[int, ...]) -> dict[str, Any]:
    """How far the confidence of a forecast can be believed, on test buyers at all landmarks together."""
    data = points.data
    rows = np.concatenate([data.landmark(count) for count in events])
    rows = rows[points.side[data.buyer[rows]] == TEST]
    per_seed = []
    for coded in runs:
        right = coded.type[rows] == types_at_end(points, coded, rows)
        sure = coded.confidence[rows]
        is_stated = np.isfinite(sure)  # a forecast that a fact rules out is not stated
        right, sure = right[is_stated], sure[is_stated]
        counts, stated, was = m.reliability(sure, right)
        per_seed.append(
            {
                "ece": m.calibration_error(sure, right),
                "brier": float(m.brier(sure, right, m.once(len(sure)))[0]),
                "brier_of_base_rate": float(right.mean() * (1 - right.mean())),
                "accuracy": float(right.mean()),
                "confidence": float(sure.mean()),
                "curve": {"rows": counts.tolist(), "said": stated.tolist(), "was": was.tolist()},
            }
        )
    return {"rows": len(rows), "events": list(events), "seeds": per_seed}
