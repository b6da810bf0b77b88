"""How good stated probabilities are: measures of n forecasts that came true or not.

Every function takes `p` float64 [n], probabilities in (0, 1), and `y` bool [n]: whether it came
true. Several forecasts of one session share its end, so what is drawn is drawn by `session`, int64 [n].
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

BINS: Final = 10
DRAWS: Final = 200
_EDGE: Final = 1e-6
"""Probabilities are kept this far from 0 and 1, so that no single session costs without end."""


class Interval(NamedTuple):
    """A figure with its 95 % interval; NaN where it cannot be had."""

    value: float
    low: float
    high: float


def bounded(p: Floats) -> Floats:
    """Probabilities, kept away from 0 and 1."""
    return np.clip(np.asarray(p, np.float64), _EDGE, 1 - _EDGE)


def logit(p: Floats) -> Floats:
    """ln(p / (1 - p)) of probabilities kept away from 0 and 1."""
    inside = bounded(p)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def brier(p: Floats, y: Bools) -> float:
    """Mean of (p - y)^2; NaN of no forecasts."""
    return float(np.mean((p - y.astype(np.float64)) ** 2)) if len(p) else float("nan")


def log_loss(p: Floats, y: Bools) -> float:
    """Mean of -ln(the probability that was given to what happened), in nats; NaN of no forecasts."""
    inside = bounded(p)
    return float(-np.mean(np.where(y, np.log(inside), np.log1p(-inside)))) if len(p) else float("nan")


def calibration_error(p: Floats, y: Bools, session: Ints, seed: int = 0) -> Interval:
    """ECE in ten bins of equal mass, less its expectation if every probability were true.

    ECE = sum_b n_b / n |mean(y) - mean(p)| is above 0 by chance alone. Its expectation is simulated: a
    session draws one u, and each of its forecasts comes true where u < p. What is left is near 0 for true
    probabilities, and may be below. The interval is +- 1.96 standard deviations of the ECE over sessions
    drawn again. Of probabilities that are far off, what chance adds is less, and too much is taken off: up to
    its expectation. NaN of fewer than ten forecasts.
    """
    n = len(p)
    if n < BINS:
        return Interval(np.nan, np.nan, np.nan)
    random = np.random.default_rng(seed)
    bins = np.empty(n, np.int64)
    bins[np.argsort(p, kind="stable")] = np.arange(n) * BINS // n
    in_bin = np.eye(BINS)[bins]
    who, sessions = _numbered(session)
    u = random.random((DRAWS, sessions))[:, who]
    by_chance = np.abs((u < p) @ in_bin - p @ in_bin).sum(axis=1) / n
    gap = (np.asarray(y, np.float64) - p)[:, None] * in_bin
    value = float(np.abs(gap.sum(axis=0)).sum() / n - by_chance.mean())
    weights = _drawn(random, sessions)[:, who]
    again = np.abs(weights @ gap).sum(axis=1) / weights.sum(axis=1)
    reach = 1.96 * float(again.std())
    return Interval(value, value - reach, value + reach)


def auc(p: Floats, y: Bools, session: Ints, seed: int = 0) -> Interval:
    """Chance that a forecast that came true had the higher probability; ties count half. The interval is from
    sessions drawn again. NaN where all came true, or none."""
    true = np.asarray(y, np.float64)
    if true.all() or not true.any():
        return Interval(np.nan, np.nan, np.nan)
    who, sessions = _numbered(session)
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(p[order]) > 0])
    weights = np.vstack([np.ones(sessions), _drawn(np.random.default_rng(seed), sessions)])[:, who[order]]
    hits = np.add.reduceat(weights * true[order], starts, axis=1)
    misses = np.add.reduceat(weights * (1 - true[order]), starts, axis=1)
    below = np.cumsum(misses, axis=1) - misses / 2
    of = hits.sum(axis=1) * misses.sum(axis=1)
    found = np.divide((hits * below).sum(axis=1), of, out=np.full(len(of), np.nan), where=of > 0)
    low, high = np.nanquantile(found[1:], [0.025, 0.975])
    return Interval(float(found[0]), float(low), float(high))


def kappa(named: Ints, came: Ints) -> float:
    """Cohen's kappa of two namings, int64 [n]: agreement above that of chance, by the namings' own shares.

    NaN where chance agrees always: there is one name only.
    """
    if not len(named):
        return float("nan")
    names = np.union1d(named, came)
    shares = [(of[:, None] == names).mean(axis=0) for of in (named, came)]
    chance = float(shares[0] @ shares[1])
    return float("nan") if chance >= 1 else float((np.mean(named == came) - chance) / (1 - chance))


def _numbered(session: Ints) -> tuple[Ints, int]:
    """Each forecast's session, numbered from 0, and how many there are."""
    names, who = np.unique(session, return_inverse=True)
    return who, len(names)


def _drawn(random: np.random.Generator, sessions: int) -> Floats:
    """How often each session is drawn, float64 [DRAWS, sessions]."""
    return random.multinomial(sessions, np.full(sessions, 1 / sessions), size=DRAWS).astype(np.float64)
