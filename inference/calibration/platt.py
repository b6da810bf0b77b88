"""A shop's calibration: logit p' = a logit p + b, fitted on its ended sessions and shrunk to all shops'.

Platt 1999 (a slope and an intercept by maximum likelihood), with a normal prior in place of his smoothed
targets: all shops together are drawn to (1, 0), which changes nothing, and each shop to all of them. How
much shops differ is read from the shops themselves (empirical Bayes, by moments: Efron and Morris 1975).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from inference.calibration.scores import Bools, Floats, logit, sigmoid

_STEPS: Final = 50
_ENOUGH: Final = 1e-10
_LEAST_SLOPE: Final = 0.05
"""A calibration keeps the order of what it is given: a shop where it would turn round fails its gate."""
_ANY_SHOP: Final = np.array([0.5, 1.0])
"""Standard deviations of slope and intercept, before any shop is known."""
_LEAST_SPREAD: Final = np.array([0.05, 0.1])
_LEAST_SHOPS: Final = 3


class Platt(NamedTuple):
    """A slope and an intercept in logits."""

    a: float
    b: float

    def apply(self, p: Floats) -> Floats:
        """Probabilities float64 [n], calibrated; NaN stays NaN."""
        return sigmoid(self.a * logit(p) + self.b)


UNCHANGED: Final = Platt(1.0, 0.0)


class Graded(NamedTuple):
    """Forecasts of ended sessions, one entry each: what was said, whether it came true, how much it counts.

    p, weight float64 [n], y bool [n]. The forecasts of a session weigh 1 together.
    """

    p: Floats
    y: Bools
    weight: Floats


class _Fit(NamedTuple):
    """A shop's own estimate, float64 [2], and its covariance, float64 [2, 2]."""

    at: Floats
    covariance: Floats


def fit_shops(shops: Sequence[Graded]) -> list[Platt]:
    """A calibration of each shop; one without sessions gets that of all shops."""
    pooled = _fit(_together(shops), np.array(UNCHANGED), _ANY_SHOP)
    spread = _spread([_fit(shop, pooled.at, _ANY_SHOP) for shop in shops if len(shop.p)], pooled.at)
    return [_platt(_fit(shop, pooled.at, spread)) for shop in shops]


def fit_shop(shop: Graded) -> Platt:
    """A calibration of one shop, as if there were no other."""
    return _platt(_fit(shop, np.array(UNCHANGED), _ANY_SHOP))


def _together(shops: Sequence[Graded]) -> Graded:
    """All shops as one; a large one counts as the square root of its sessions, so that it is not the rule."""
    nothing = Graded(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0))
    parts = [shop._replace(weight=shop.weight / np.sqrt(max(shop.weight.sum(), 1.0))) for shop in shops] or [
        nothing
    ]
    return Graded(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _spread(fits: Sequence[_Fit], centre: Floats) -> Floats:
    """Standard deviations between shops of slope and intercept: what is left of the squared distances from
    the centre when each estimate's own variance is taken off; estimates that are sure count for more. Few
    shops do not tell: then as before any."""
    if len(fits) < _LEAST_SHOPS:
        return _ANY_SHOP
    variances = np.array([np.diag(fit.covariance) for fit in fits])
    left = np.array([(fit.at - centre) ** 2 for fit in fits]) - variances
    spread = np.average(left, axis=0, weights=1 / (variances + _LEAST_SPREAD**2) ** 2)
    return np.clip(np.sqrt(np.maximum(spread, 0.0)), _LEAST_SPREAD, _ANY_SHOP)


def _fit(data: Graded, centre: Floats, spread: Floats) -> _Fit:
    """Newton's steps to the mode of a slope and an intercept; each is halved until it is one downhill."""
    x = np.column_stack([logit(data.p), np.ones(len(data.p))])
    precision = np.diag(1 / spread**2)
    at = centre.copy()
    cost, step_cost = _cost(at, x, data, centre, precision), 0.0
    hessian = precision
    for _ in range(_STEPS):
        q = sigmoid(x @ at)
        gradient = x.T @ (data.weight * (q - data.y)) + precision @ (at - centre)
        hessian = (x * (data.weight * q * (1 - q))[:, None]).T @ x + precision
        step = np.linalg.solve(hessian, gradient)
        for _ in range(_STEPS):
            step_cost = _cost(at - step, x, data, centre, precision)
            if step_cost <= cost:
                break
            step /= 2
        at = at - step
        if cost - step_cost < _ENOUGH:
            break
        cost = step_cost
    return _Fit(at, np.asarray(np.linalg.inv(hessian), np.float64))


def _cost(at: Floats, x: Floats, data: Graded, centre: Floats, precision: Floats) -> float:
    z = x @ at
    off = at - centre
    return float(data.weight @ (np.logaddexp(0.0, z) - data.y * z) + off @ precision @ off / 2)


def _platt(fit: _Fit) -> Platt:
    return Platt(max(float(fit.at[0]), _LEAST_SLOPE), float(fit.at[1]))
