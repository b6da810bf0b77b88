"""How far two profiles are apart, and whether that could be chance.

For each feature: the population stability index and the Jensen-Shannon divergence say how large a shift
is, a test of homogeneity says whether votes of one population could differ so much. Small stores do
not cry wolf and large ones not about trifles, because an alert needs both. Source of PSI's sampling
bias: Yurdakul and Naranjo, "Statistical properties of the population stability index" (Journal of Risk
Model Validation 14, 2020). The statistic is divided by the feature's dispersion
(training/publishing/reference.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.bundles.reference import Reference
from inference.counts.profile import (
    FEATURE,
    FEATURES,
    TALLY,
    YOUNG,
    YOUNG_BELOW,
    Counts,
    Feature,
    buyers,
    young,
)
from ops.drift.signals import Share, Signal, arrived

_SMOOTHING: Final = 0.5
"""Added to every cell that either side has met: Krichevsky and Trofimov's estimator (1981)."""
_LEAST_EXPECTED: Final = 5.0
"""Cells that expect fewer votes are tested together (Cochran's rule)."""
_NOT_COMPARED: Final = frozenset({"event_age"})
"""History has no CreateTime, so a reference knows no ages; they are watched as they are."""
COMPARED: Final = tuple(feature for feature in FEATURES if feature.name not in _NOT_COMPARED)

Floats = NDArray[np.float64]


class Shift(NamedTuple):
    """One feature of one store, live against reference.

    store None: all stores together. votes: live ones (buyers per window, or events). psi and js (in bits,
    0 to 1) are smoothed; psi_chance is the psi that chance alone gives on average. p: probability of a
    statistic at least as large without a shift; q: the same, adjusted for all tests of the look
    (Benjamini and Hochberg 1995).
    """

    store: str | None
    feature: str
    votes: int
    psi: float
    psi_chance: float
    js: float
    p: float
    q: float

    @property
    def excess(self) -> float:
        """PSI beyond what chance gives: the size of the shift."""
        return self.psi - self.psi_chance


def cells(live: Counts, reference: Counts) -> tuple[Counts, Counts]:
    """The cells that are compared: those too thin to be looked at alone as one, those of nobody left out."""
    n, m = int(live.sum()), int(reference.sum())
    both = live + reference
    thick = both * (min(n, m) / max(n + m, 1)) >= _LEAST_EXPECTED
    a = np.maximum(np.append(live[thick], live[~thick].sum()), 0)
    b = np.maximum(np.append(reference[thick], reference[~thick].sum()), 0)
    return a[a + b > 0], b[a + b > 0]


def like_with_like(live: Counts, reference: Counts, feature: Feature) -> tuple[Counts, Counts]:
    """A feature's votes in two profiles, the reference's as if its buyers had the ages of the live ones.

    Buyers who came a minute ago are not those of whole histories, whatever they do. So the reference's
    shares at each age are weighted by the live votes of that age (direct standardisation). Its number of
    votes is then the one that gives shares of the same variance (Kish's effective size). Votes at ages that
    the reference never met are left out. A reference of a release that counted no ages is compared as it is.
    """
    if feature.votes != "buyers" or not reference[YOUNG:].any():
        return live[feature.cells], reference[feature.cells]
    mine, theirs = _by_age(live, feature), _by_age(reference, feature)
    m = theirs.sum(axis=1)
    mine, theirs, m = mine[m > 0], theirs[m > 0], m[m > 0]
    n = mine.sum(axis=1)
    if not n.sum() > 0:
        return np.zeros(feature.size, np.int64), np.zeros(feature.size, np.int64)
    weight = n / n.sum()
    size = 1 / (weight**2 / m).sum()
    expected = size * (weight / m) @ theirs
    return mine.sum(axis=0), np.rint(expected).astype(np.int64)


def _by_age(counts: Counts, feature: Feature) -> Counts:
    """Votes by age, int64 [ages, size]: the young ones, then the rest."""
    of_young = np.stack([counts[young(feature, age)] for age in range(len(YOUNG_BELOW))])
    return np.vstack([of_young, counts[feature.cells] - of_young.sum(axis=0)])


def psi(live: Counts, reference: Counts) -> float:
    """Population stability index of two count vectors, smoothed; 0 where either is empty."""
    a, b = _shares(live, reference)
    return float(((a - b) * np.log(a / b)).sum())


def jensen_shannon(live: Counts, reference: Counts) -> float:
    """Jensen-Shannon divergence in bits, 0 to 1, smoothed; 0 where either is empty."""
    a, b = _shares(live, reference)
    middle = (a + b) / 2
    return float(((a * np.log2(a / middle)).sum() + (b * np.log2(b / middle)).sum()) / 2)


def _shares(live: Counts, reference: Counts) -> tuple[Floats, Floats]:
    """Smoothed shares, none zero."""
    if not (live.any() and reference.any()):
        return np.ones(1), np.ones(1)
    a, b = live + _SMOOTHING, reference + _SMOOTHING
    return a / a.sum(), b / b.sum()


def homogeneity(live: Counts, reference: Counts, dispersion: float) -> float:
    """p of Pearson's test that both count vectors are of one population, X2 divided by `dispersion`."""
    from scipy.stats import chi2  # 70 MB and a second: not for an API process in which nobody looks at drift

    n, m = int(live.sum()), int(reference.sum())
    if len(live) < 2 or not (n and m):
        return 1.0
    apart = live * math.sqrt(m / n) - reference * math.sqrt(n / m)
    return float(chi2.sf((apart**2 / (live + reference)).sum() / dispersion, len(live) - 1))


def compare(
    live: Mapping[str | None, Counts], reference: Reference, span_ms: int, least_votes: int
) -> list[Shift]:
    """Every feature of every store that has at least `least_votes`, with q over all of them."""
    dispersion = reference.dispersion.get(span_ms, {})
    found = []
    for store, counts in live.items():
        expected = reference.of(store)
        for feature in COMPARED:
            if int(counts[feature.cells].sum()) < least_votes:
                continue
            mine, theirs = cells(*like_with_like(counts, expected, feature))
            spread = dispersion.get(feature.name, 1.0)
            n, m = int(mine.sum()), int(theirs.sum())
            if m and len(mine) > 1:  # else nothing to compare with, or it never varies (no types)
                found.append(
                    Shift(
                        store=store,
                        feature=feature.name,
                        votes=n,
                        psi=psi(mine, theirs),
                        psi_chance=spread * (len(mine) - 1) * (1 / n + 1 / m),
                        js=jensen_shannon(mine, theirs),
                        p=homogeneity(mine, theirs, spread),
                        q=1.0,
                    )
                )
    if not found:
        return []
    from scipy.stats import false_discovery_control  # see homogeneity

    adjusted = false_discovery_control([shift.p for shift in found], method="bh")
    return [shift._replace(q=float(q)) for shift, q in zip(found, adjusted, strict=True)]


class Health(NamedTuple):
    """What a store's counts say by themselves.

    arrived: records, whatever became of them; perplexity: how many codes the votes are like (exp of the
    entropy); dead_codes: how many codes that hold at least 1 % of the reference have no vote; shares: of
    each signal, by its name.
    """

    buyers: int
    events: int
    arrived: int
    sessions: int
    perplexity: float
    dead_codes: int
    shares: Mapping[str, Share]


def health(counts: Counts, reference: Counts, signals: Mapping[str, Signal]) -> Health:
    """Figures of one store."""
    codes, expected = counts[FEATURE["codes"].cells], reference[FEATURE["codes"].cells]
    return Health(
        buyers=buyers(counts),
        events=int(counts[FEATURE["event_mix"].cells].sum()),
        arrived=arrived(counts),
        sessions=int(counts[TALLY["sessions"]]),
        perplexity=perplexity(codes),
        dead_codes=int(((codes <= 0) & (expected >= 0.01 * max(int(expected.sum()), 1))).sum()),
        shares={name: signal.read(counts) for name, signal in signals.items()},
    )


def perplexity(codes: Counts) -> float:
    """exp of the entropy of code counts; 0 for nobody."""
    used = codes[codes > 0] / max(int(codes[codes > 0].sum()), 1)
    return float(np.exp(-(used * np.log(used)).sum())) if len(used) else 0.0
