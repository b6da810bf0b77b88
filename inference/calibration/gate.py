"""Whether a shop's own ended sessions allow its forecasts to be stated.

Each fifth of the sessions, in the order of time, is judged with a calibration that was fitted on those before
it: what is measured is what a buyer of the next day is told.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from feature_store.contract.calibration import Gate
from inference.calibration.platt import UNCHANGED, Graded, Platt, fit_shop
from inference.calibration.scores import Floats, Interval, Ints, auc, bounded, calibration_error, log_loss

LEAST_SESSIONS: Final = 500
LARGEST_ERROR: Final = 0.04
"""The debiased ECE on later sessions must not be above this."""
LARGEST_HIGH: Final = 0.06
"""Nor the high end of its interval above this: few sessions do not show it either way."""
_PARTS: Final = 5


def judge(data: Graded, session: Ints) -> Gate:
    """Open or close the gate; forecasts ordered by time, session int64 [n]: those of one are neighbours."""
    sessions = int((np.diff(session) != 0).sum()) + 1 if len(session) else 0
    if sessions < LEAST_SESSIONS:
        return Gate(
            passed=False,
            sessions=sessions,
            why=f"{sessions} ended sessions of at least 3 events, {LEAST_SESSIONS} are needed",
        )
    if data.y.all() or not data.y.any():
        came = "every" if data.y.all() else "no"
        return Gate(passed=False, sessions=sessions, why=f"{came} forecast came true: there is one class")
    judged, p, base = _forward(data, session)
    y, who = data.y[judged], session[judged]
    rank, error = auc(p, y, who), calibration_error(p, y, who)
    return Gate(
        passed=(why := _closed_by(rank, error)) is None,
        sessions=sessions,
        auc=_rounded(rank),
        error=_rounded(error),
        loss=round(log_loss(p, y), 4),
        base_loss=round(log_loss(base, y), 4),
        why=why,
    )


def _forward(data: Graded, session: Ints) -> tuple[Ints, Floats, Floats]:
    """Places of the forecasts after the first fifth of the sessions; each calibrated on the fifths before its
    own, and the share that came true there."""
    number = np.cumsum(np.r_[0, np.diff(session) != 0])
    part = number * _PARTS // (number[-1] + 1)
    judged = np.flatnonzero(part > 0)
    p, base = np.empty(len(part)), np.empty(len(part))
    for k in range(1, _PARTS):
        before, here = part < k, part == k
        fit = fit_shop(Graded(data.p[before], data.y[before], data.weight[before]))
        p[here] = fit.apply(data.p[here])
        base[here] = (data.y[before].sum() + 1) / (before.sum() + 2)
    return judged, p[judged], base[judged]


def _closed_by(rank: Interval, error: Interval) -> str | None:
    if not rank.low > 0.5:
        return f"AUC {_shown(rank)}: the low end must be above 0.5"
    if not (error.value <= LARGEST_ERROR and error.high <= LARGEST_HIGH):
        return f"calibration error {_shown(error)}: {LARGEST_ERROR} and a high end of {LARGEST_HIGH} at most"
    return None


def _shown(it: Interval) -> str:
    return f"{it.value:.3f} [{it.low:.3f}, {it.high:.3f}]"


def _rounded(it: Interval) -> tuple[float, float, float] | None:
    if any(np.isnan(it)):
        return None
    return round(it.value, 4), round(it.low, 4), round(it.high, 4)


def is_better(before: Platt | None, after: Platt, data: Graded) -> bool:
    """Whether another calibration is worth a record: log loss on these forecasts falls by 0.001 nats or more.

    before: what holds now; None for nothing.
    """
    now = (before or UNCHANGED).apply(bounded(data.p))
    return before is None or log_loss(now, data.y) - log_loss(after.apply(data.p), data.y) >= 0.001
