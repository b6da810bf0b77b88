"""The measures of the evaluation, each with its formula.

Every measure takes `weights` float64 [b, n], one row a bootstrap sample of the n buyers (bootstrap.py), and
gives float64 [b]; `once(n)` is the sample itself. A buyer drawn twice weighs 2 and is never a second point.
n_k is the (weighted) number of judged buyers with code k, w_i the weight of buyer i.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_BUYERS: Final = 10
"""Codes with fewer judged buyers do not count: a share of them is noise."""
MIXED: Final = 0.1
MIXED_BUYERS: Final = 2
"""A code mixes an axis where each of its ends holds at least this share of the code's buyers, and so many of
them: one stray buyer in a code of ten is no mixture."""
BINS: Final = 10


def once(n: int) -> Floats:
    """The weights of the sample itself, float64 [1, n]."""
    return np.ones((1, n))


def group_sums(groups: Ints, weights: Floats, size: int, values: Floats | None = None) -> Floats:
    """Sums of weights by group, float64 [b, size]; of weights times values [n, d], float64 [b, size, d]."""
    n = len(groups)
    if values is None:
        onehot = csr_array((np.ones(n), (np.arange(n), groups)), shape=(n, size))
        return np.asarray(weights @ onehot)
    d = values.shape[1]
    columns = groups[:, None] * d + np.arange(d)
    spread = csr_array((values.ravel(), columns.ravel(), np.arange(0, n * d + 1, d)), shape=(n, size * d))
    return np.asarray(weights @ spread).reshape(len(weights), size, d)


def contingency(codes: Ints, labels: Ints, classes: int, weights: Floats) -> Floats:
    """Weighted counts by code and label, float64 [b, codes, classes]."""
    size = int(codes.max(initial=0)) + 1
    return group_sums(codes * classes + labels, weights, size * classes).reshape(len(weights), size, classes)


def calinski_harabasz(points: Floats, codes: Ints, weights: Floats) -> Floats:
    """How far apart codes lie beside how wide they are (Calinski and Harabasz 1974); points float64 [n, d].

    CH = (B / (K - 1)) / (W / (n - K)), B = sum_k n_k |m_k - m|^2, W = sum_i w_i |x_i - m_code(i)|^2, with K
    codes in use. Comparable on the same points in the same space only.

    Drawing buyers twice would shrink W and widen B; so with weights, W is divided by sum_k (n_k - q_k / n_k),
    q_k = sum w_i^2, its unbiased divisor, giving s^2, and s^2 times (sum_k q_k / n_k - q / n - (K - 1)) is
    taken from B; K stays that of all buyers. At weights of 1 this is CH. NaN where no code has any width.
    """
    _, codes = np.unique(codes, return_inverse=True)
    size = int(codes.max(initial=0)) + 1
    points = points - points.mean(axis=0)
    squares = (points**2).sum(axis=1)
    mass = group_sums(codes, weights, size)
    square_mass = group_sums(codes, weights**2, size)
    sums = group_sums(codes, weights, size, points)
    total = weights @ squares
    safe = np.maximum(mass, 1e-12)
    explained = ((sums**2).sum(axis=2) / safe).sum(axis=1)
    n = mass.sum(axis=1)
    centre = (sums.sum(axis=1) ** 2).sum(axis=1) / n
    inside, between = total - explained, explained - centre
    kish = np.where(mass > 0, square_mass / safe, 0.0)
    freedom = n - kish.sum(axis=1)
    wide = (freedom > 1e-9) & (inside > 1e-12 * total)
    variance = np.where(wide, inside / np.where(wide, freedom, 1.0), np.nan)
    excess = kish.sum(axis=1) - square_mass.sum(axis=1) / n - (size - 1)
    return np.asarray((between - variance * excess) / max(size - 1, 1) / variance)


def majorities(codes: Ints, labels: Ints, classes: int, size: int) -> Ints:
    """The label that most training buyers of each code have, int64 [size]; the commonest of all where a
    code has none."""
    counts = np.zeros((size, classes))
    np.add.at(counts, (codes, labels), 1.0)
    overall = np.bincount(labels, minlength=classes)
    counts += 1e-9 * overall / max(overall.sum(), 1)  # ties, and codes without buyers
    return np.asarray(counts.argmax(axis=1), dtype=np.int64)


def accuracy(predicted: Ints, labels: Ints, weights: Floats) -> Floats:
    """Share of buyers whose label is the predicted one. With `majorities` of training buyers as prediction:

    purity = sum_i w_i [label_i = majority(code_i)] / sum_i w_i.
    """
    return np.asarray(weights @ (predicted == labels).astype(np.float64) / weights.sum(axis=1))


def macro_recall(predicted: Ints, labels: Ints, classes: int, weights: Floats) -> Floats:
    """Mean over the labels that occur of the share of their buyers who were predicted so."""
    mass = group_sums(labels, weights, classes)
    hits = group_sums(labels, weights * (predicted == labels), classes)
    present = mass > 0
    recall = np.where(present, hits / np.maximum(mass, 1e-12), 0.0)
    return np.asarray(recall.sum(axis=1) / np.maximum(present.sum(axis=1), 1))


def incoherence(
    codes: Ints, levels: Ints, weights: Floats, least: int = LEAST_BUYERS, mixed: float = MIXED
) -> Floats:
    """Share of codes that mix both ends of an axis; levels int64 [n]: 0 low, 1 middle, 2 high (axes.py).

    Of the codes with at least `least` judged buyers (counted once each), those with both
    n_k(end) >= max(mixed n_k, MIXED_BUYERS) at the low and at the high end. NaN where no code has so many.
    """
    counts = contingency(codes, levels, 3, weights)
    total = counts.sum(axis=2)
    judged = (np.bincount(codes, minlength=counts.shape[1]) >= least) & (total > 0)
    ends = np.minimum(counts[:, :, 0], counts[:, :, 2])
    of = judged.sum(axis=1)
    found = ((ends >= np.maximum(mixed * total, MIXED_BUYERS)) & judged).sum(axis=1)
    return np.where(of > 0, found / np.maximum(of, 1), np.nan)


def perplexity(codes: Ints, weights: Floats) -> Floats:
    """exp(-sum_k p_k ln p_k) with p_k = n_k / n: as many codes, evenly used, would be as varied."""
    shares = group_sums(codes, weights, int(codes.max(initial=0)) + 1)
    shares /= shares.sum(axis=1, keepdims=True)
    return np.asarray(np.exp(-(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1)))


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """Divergence of two mixes along the last axis, in nats, from 0 to ln 2.

    JS = (KL(p | m) + KL(q | m)) / 2, m = (p + q) / 2.
    """
    m = (p + q) / 2

    def kl(a: Floats) -> Floats:
        # Half of the smallest number there is rounds to 0: such a share counts for nothing.
        ratio = np.divide(a, m, out=np.ones_like(m), where=(a > 0) & (m > 0))
        return np.asarray((a * np.log(ratio)).sum(axis=-1))

    return np.maximum((kl(p) + kl(q)) / 2, 0.0)


def stratum_mixes(codes: Ints, strata: Ints, classes: int, size: int) -> Floats:
    """q(stratum | code) of training buyers, float64 [size, classes]; the pooled mix weighs as one buyer
    more, and stands alone for a code that no training buyer has."""
    counts = np.zeros((size, classes))
    np.add.at(counts, (codes, strata), 1.0)
    counts += counts.sum(axis=0) / max(counts.sum(), 1.0)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def funnel_divergence(mixes: Floats, strata: Ints, weights: Floats) -> Floats:
    """JS of a store's rebuilt against its real funnel mix; mixes float64 [n, classes], of each buyer's code.

    rebuilt = sum_k p_s(k) q(stratum | k), p_s(k) the share of code k among the store's judged buyers and q
    the mix of the code's training buyers; real = share of each stratum among the judged buyers.
    """
    total = weights.sum(axis=1, keepdims=True)
    real = group_sums(strata, weights, mixes.shape[1]) / total
    return jensen_shannon(weights @ mixes / total, real)


def cohens_d(group: Ints, values: Floats, weights: Floats) -> Floats:
    """How far the high group lies above the low one; group int64 [n]: 0 low, 2 high, others do not count.

    d = (m_high - m_low) / s, s^2 = the mean of both variances weighed by (weighted) buyers. 0 where a group
    is empty or nothing varies.
    """
    return cohens_d_of_shares(np.stack([group == 0, group == 2]).astype(np.float64), values, weights)


def cohens_d_of_shares(shares: Floats, values: Floats, weights: Floats) -> Floats:
    """Cohen's d where a buyer may count to a group in part: shares float64 [2, n], to the low and to the
    high group."""
    mass, means, spreads = [], [], []
    for share in shares:
        w = weights * share
        n = w.sum(axis=1)
        mean = w @ values / np.maximum(n, 1e-12)
        spread = w @ values**2 - n * mean**2
        mass.append(n)
        means.append(mean)
        spreads.append(np.maximum(spread, 0.0))
    pooled = np.sqrt((spreads[0] + spreads[1]) / np.maximum(mass[0] + mass[1] - 2, 1e-12))
    fine = (mass[0] > 0) & (mass[1] > 0) & (pooled > 1e-12)
    return np.where(fine, (means[1] - means[0]) / np.where(fine, pooled, 1.0), 0.0)


def thirds(scores: Floats, reference: Floats) -> Ints:
    """0, 1, 2 by terciles of `reference` (training buyers' scores of their codes): low, middle, high codes.

    A code falls whole into one third, since all of its buyers have its score; ties go towards the middle,
    unless that would leave an end empty.
    """
    low, high = np.quantile(reference, [1 / 3, 2 / 3], method="inverted_cdf")
    below = scores < low if (reference < low).any() else scores <= low
    above = scores > high if (reference > high).any() else scores >= high
    return np.where(below, 0, np.where(above, 2, 1)).astype(np.int64)


def exact_thirds(scores: Floats, reference: Floats) -> Floats:
    """How much of each buyer counts to the lowest and to the highest third, float64 [2, n].

    As `thirds`, but a code on the border counts in part, by as much as makes its group a third of the
    reference: whole codes make groups of 28 % in one codebook and of 31 % in another, and the smaller group
    has the larger d.
    """
    known = np.sort(reference)
    below = np.searchsorted(known, scores, side="left") / len(known)
    upto = np.searchsorted(known, scores, side="right") / len(known)
    width = np.maximum(upto - below, 1e-12)
    return np.clip(np.stack([(1 / 3 - below) / width, (upto - 2 / 3) / width]), 0.0, 1.0)


def code_means(codes: Ints, values: Floats, size: int, prior: float = 1.0) -> Floats:
    """Mean value of each code's training buyers, float64 [size], drawn to the mean of all as if `prior`
    buyers more had that mean."""
    mean = float(values.mean())
    counts = np.bincount(codes, minlength=size)
    return np.asarray((np.bincount(codes, values, minlength=size) + prior * mean) / (counts + prior))


def auc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Probability that a random positive scores above a random negative, ties counting half
    (Hanley and McNeil 1982); NaN where one kind is missing."""
    values, place = np.unique(scores, return_inverse=True)
    up = group_sums(place, weights * positive, len(values))
    down = group_sums(place, weights * ~positive, len(values))
    below = np.cumsum(down, axis=1) - down
    pairs = up.sum(axis=1) * down.sum(axis=1)
    won = (up * (below + down / 2)).sum(axis=1)
    return np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1.0), np.nan)


def lift(scores: Floats, positive: NDArray[np.bool_], weights: Floats, share: float = 0.1) -> Floats:
    """Rate among the rows with the highest scores, a `share` of all, per rate of all rows; rows of one score
    at the border count in part. NaN where nothing is positive."""
    values, place = np.unique(-scores, return_inverse=True)
    mass = group_sums(place, weights, len(values))
    came = group_sums(place, weights * positive, len(values))
    most = share * mass.sum(axis=1, keepdims=True)
    before = np.cumsum(mass, axis=1) - mass
    taken = np.clip(most - before, 0.0, mass) / np.maximum(mass, 1e-12)
    of = came.sum(axis=1)
    return np.where(of > 0, (taken * came).sum(axis=1) / np.where(of > 0, share * of, 1.0), np.nan)


def log_loss(stated: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Mean of -ln of the probability that was stated for what came, in nats (Good 1952)."""
    surprise = -np.log(np.clip(np.where(positive, stated, 1.0 - stated), 1e-6, 1.0))
    return np.asarray(weights @ surprise / weights.sum(axis=1))


def kappa(predicted: Ints, actual: Ints, weights: Floats) -> Floats:
    """Agreement beyond chance (Cohen 1960): (p_o - p_e) / (1 - p_e), p_o the share that agrees, p_e the share
    that would with the same margins."""
    classes = int(max(predicted.max(initial=0), actual.max(initial=0))) + 1
    table = group_sums(predicted * classes + actual, weights, classes * classes)
    table = table.reshape(-1, classes, classes) / table.sum(axis=1)[:, None, None]
    agree = np.trace(table, axis1=1, axis2=2)
    chance = (table.sum(axis=2) * table.sum(axis=1)).sum(axis=1)
    return np.where(chance < 1 - 1e-12, (agree - chance) / np.maximum(1 - chance, 1e-12), 0.0)


def brier(confidence: Floats, right: NDArray[np.bool_], weights: Floats) -> Floats:
    """Mean of (confidence - [right])^2 (Brier 1950)."""
    return np.asarray(weights @ (confidence - right) ** 2 / weights.sum(axis=1))


def reliability(
    confidence: Floats, right: NDArray[np.bool_], bins: int = BINS
) -> tuple[Ints, Floats, Floats]:
    """The reliability curve: buyers, mean confidence and share right in bins of equal numbers of buyers.

    int64 [m], float64 [m], float64 [m], m <= bins: equal confidences share a bin.
    """
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, confidence, side="right")
    counts = np.bincount(place)
    kept = counts > 0
    stated = np.bincount(place, confidence)[kept] / counts[kept]
    was = np.bincount(place, right)[kept] / counts[kept]
    return counts[kept].astype(np.int64), stated, was


def calibration_error(confidence: Floats, right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015): sum over bins of n_bin / n |said - was|."""
    counts, stated, was = reliability(confidence, right, bins)
    return float((counts * np.abs(stated - was)).sum() / counts.sum())


def calibration_gap(stated: Floats, right: NDArray[np.bool_], weights: Floats, bins: int = BINS) -> Floats:
    """calibration_error with weights, float64 [b]; the bins are those of the rows as they are."""
    edges = np.unique(np.quantile(stated, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, stated, side="right")
    off = group_sums(place, weights * (stated - right), len(edges) + 1)
    return np.asarray(np.abs(off).sum(axis=1) / weights.sum(axis=1))


def calibration_excess(stated: Floats, right: NDArray[np.bool_], seed: int, draws: int = 200) -> float:
    """calibration_error less its mean where every stated probability is exactly right: outcomes are drawn
    by the stated probabilities, so that few rows are not taken for a fault. Below 0 by chance alone."""
    random = np.random.default_rng(seed)
    expected = [calibration_error(stated, random.random(len(stated)) < stated) for _ in range(draws)]
    return calibration_error(stated, right) - float(np.mean(expected))
