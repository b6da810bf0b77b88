"""Made-up sessions of a shop: what is said of each, and what comes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.calibration.platt import Graded
from inference.calibration.scores import Floats, Ints, sigmoid


def shop(
    sessions: int, a: float, b: float, seed: int, per_session: int = 1, spread: float = 1.2
) -> tuple[Graded, Ints]:
    """Forecasts whose truth has the logit a x + b, x the logit of what is said; and their sessions."""
    random = np.random.default_rng(seed)
    session = np.repeat(np.arange(sessions), per_session)
    x = np.repeat(random.normal(0.3, spread, sessions), per_session) + random.normal(0, 0.2, len(session))
    y: NDArray[np.bool_] = np.repeat(random.random(sessions), per_session) < sigmoid(a * x + b)
    return Graded(sigmoid(x), y, np.full(len(session), 1 / per_session)), session


def truth(p: Floats, a: float, b: float) -> Floats:
    """What the probability of such a forecast is."""
    return sigmoid(a * (np.log(p) - np.log1p(-p)) + b)
