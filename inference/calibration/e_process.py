"""A test of stated probabilities that may be looked at after every session, for ever.

If every probability p is true, then of each session the ratio q^y (1 - q)^(1 - y) / (p^y (1 - p)^(1 - y)) has
expectation 1 for any q that was fixed before; so has the product over sessions, and any mixture of such
products. By Ville's inequality the mixture ever reaches 1 / alpha with probability at most alpha, however
often one looks. (Vovk and Wang 2021, "E-values"; Henzi and Ziegel 2022, "Valid sequential inference on
probability forecast performance", for forecasts; Shin, Ramdas and Rinaldo 2022, "E-detectors", for starts.)

The q here are p with another slope or intercept in logits: what a recalibration would mend. Miscalibration
may begin late, so the mixture is over its beginnings too: the products that begin at the j-th hundred of
sessions weigh 1 / (j (j + 1)), which sums to 1.

It assumes that sessions end independently given their forecasts, and that they are taken in the order in
which the forecasts were made: short sessions end first, and their ends are not those of all.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from inference.calibration.scores import Bools, Floats, bounded, logit, sigmoid

ALTERNATIVES: Final = np.array(
    [(a, b) for a in (0.5, 1.0, 1.6) for b in (-1.2, -0.6, -0.3, 0.0, 0.3, 0.6, 1.2) if (a, b) != (1.0, 0.0)]
)
"""Slopes and intercepts that are bet on, float64 [k, 2]."""
BEGINS_EVERY: Final = 100
ALARM: Final = 1_000.0
"""Evidence at which the probabilities are called wrong: a shop whose own are true ever comes to this with a
chance of at most 1 in 1,000."""


_MOST: Final = 700.0
"""No more than exp of this fits a float."""


class EProcess:
    """The evidence against a stream of probabilities, session by session."""

    def __init__(self) -> None:
        self.sessions = 0
        self.evidence = 1.0
        """After the last session; 1 says nothing."""
        self.highest = 1.0
        """The most evidence that there ever was."""
        self._product = np.zeros(len(ALTERNATIVES))
        """Log of each alternative's product since the first session."""
        self._begun = np.full(len(ALTERNATIVES), -np.inf)
        """Log of sum over beginnings of weight / product at the beginning."""
        self._waiting = 1.0
        """Weight of the beginnings that are yet to come."""

    @property
    def is_alarmed(self) -> bool:
        """Whether the evidence ever reached ALARM."""
        return self.highest >= ALARM

    def add(self, p: Floats, came_true: Bools) -> Floats:
        """Take the next n sessions: what was said of each, float64 [n], and whether it came true, bool [n].

        Returns the evidence after each, float64 [n]: its expectation is 1 while the probabilities are true.
        """
        found, at = [np.zeros(0)], 0
        while at < len(p):
            until = at + BEGINS_EVERY - self.sessions % BEGINS_EVERY
            found.append(self._add(p[at:until], came_true[at:until]))
            at = until
        return np.concatenate(found)

    def _add(self, p: Floats, came_true: Bools) -> Floats:
        if self.sessions % BEGINS_EVERY == 0:
            j = self.sessions // BEGINS_EVERY + 1
            self._begun = np.logaddexp(self._begun, -math.log(j * (j + 1)) - self._product)
            self._waiting = 1 / (j + 1)
        products = self._product + np.cumsum(log_ratios(p, came_true), axis=0)
        self._product = products[-1]
        self.sessions += len(p)
        bets = np.logaddexp.reduce(products + self._begun, axis=1) - math.log(len(ALTERNATIVES))
        evidence = np.exp(np.minimum(bets, _MOST)) + self._waiting
        self.evidence = float(evidence[-1])
        self.highest = max(self.highest, float(evidence.max()))
        return np.asarray(evidence)


def log_ratios(p: Floats, came_true: Bools) -> Floats:
    """Log likelihood of each alternative less that of p, float64 [n, k]; p float64 [n], came_true bool
    [n]."""
    inside = bounded(p)[:, None]
    q = sigmoid(ALTERNATIVES[:, 0] * logit(inside) + ALTERNATIVES[:, 1])
    true, false = np.log(q) - np.log(inside), np.log1p(-q) - np.log1p(-inside)
    return np.asarray(np.where(came_true[:, None], true, false))
