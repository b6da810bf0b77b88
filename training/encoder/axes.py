"""What a buyer does, in levels: targets of the auxiliary heads, and the ends that a code must not mix.

SimPersona (paper.md) names three axes and defines none of them; these are ours (docs/concepts.md):

    engagement    how long and how much: mean of log1p(events) and log1p(active_seconds), each standardised
    exploration   how widely FOR so many events: mean of log1p of looks (product, list and search views),
                  distinct products and distinct categories, each standardised among buyers with as many
                  events (raw, it would be engagement again: who clicks more has seen more). Products or
                  categories that a store does not tell say nothing, so they are left out of the mean
    purchase      how deep into the funnel: 0 looked, 1 added to cart, 2 reached checkout, 3 purchased

Engagement and exploration are cut at the terciles of the training buyers with at least MIN_EVENTS events.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import SCALARS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_EVENTS: Final = 3
"""Buyers with fewer events say too little of themselves to set a level, or to be judged."""
LOW, MID, HIGH = 0, 1, 2

KNOTS: Final = np.log1p(np.array([1, 2, 3, 4, 5, 7, 10, 14, 20, 30, 50, 100], dtype=np.float64))
"""log1p(events) at which mean and deviation among buyers with as many events are kept; linear between."""

_COLUMN: Final = {scalar.name: i for i, scalar in enumerate(SCALARS)}
EVENTS: Final = _COLUMN["events"]
FUNNEL_COLUMNS: Final = tuple(_COLUMN[name] for name in ("carts", "cart_reviews", "checkouts", "purchases"))
MONEY_COLUMNS: Final = tuple(_COLUMN[name] for name in ("cart_value", "order_value"))
FUNNEL_STEPS: Final = tuple(_COLUMN[name] for name in ("carts", "checkouts", "purchases"))
ENGAGEMENT: Final = tuple(_COLUMN[name] for name in ("events", "active_seconds"))
LOOKS: Final = tuple(_COLUMN[name] for name in ("product_views", "list_views", "searches"))
DISTINCT: Final = tuple(_COLUMN[name] for name in ("distinct_products", "distinct_categories"))
_FLAT: Final = 1e-6
_LEAST_DEVIATION: Final = 0.1  # of a log1p count: where nearly all are the same, a step is no outlier
_PRIOR_ROWS: Final = 2.0


class ByEvents(NamedTuple):
    """Mean and deviation of columns among buyers with as many events, float64 [knots, columns] each."""

    mean: Floats
    deviation: Floats

    @classmethod
    def fit(cls, log_events: Floats, columns: Floats, known: NDArray[np.bool_] | None = None) -> Self:
        """Estimate from rows: log_events float64 [n], columns float64 [n, c], known bool [n, c] or all.

        The mean is a linear spline by least squares, the variance the kernel-weighted mean of what is left.
        A knot with few rows leans on the mean of all, as if _PRIOR_ROWS rows of that mean were there.
        """
        weight = hat_weights(log_events)
        is_known = np.ones_like(columns) if known is None else known.astype(np.float64)
        seen = np.maximum(is_known.sum(axis=0), 1.0)
        overall = (is_known * columns).sum(axis=0) / seen
        off = is_known * (columns - overall)
        mean = np.empty((len(KNOTS), columns.shape[1]))
        for i in range(columns.shape[1]):
            normal = (weight * is_known[:, i, None]).T @ weight + _PRIOR_ROWS * np.eye(len(KNOTS))
            mean[:, i] = overall[i] + np.linalg.solve(normal, weight.T @ off[:, i])
        square = is_known * (columns - weight @ mean) ** 2
        variance = weight.T @ square + _PRIOR_ROWS * (off**2).sum(axis=0) / seen
        variance /= weight.T @ is_known + _PRIOR_ROWS
        return cls(mean, np.maximum(np.sqrt(variance), _LEAST_DEVIATION))

    def standardise(self, log_events: Floats, columns: Floats) -> Floats:
        """Deviations from what buyers with as many events do, float64 [n, c]."""
        weight = hat_weights(log_events)
        return (columns - weight @ self.mean) / (weight @ self.deviation)


def hat_weights(log_events: Floats) -> Floats:
    """Weights float64 [n, knots] of linear interpolation between KNOTS; constant beyond the ends."""
    steps = np.clip((log_events[:, None] - KNOTS[:-1]) / np.diff(KNOTS), 0.0, 1.0)
    edge = np.ones((len(steps), 1))
    return np.hstack([edge, steps]) - np.hstack([steps, 0.0 * edge])


class Levels(NamedTuple):
    """Levels of rows, int64 [n] each: engagement and exploration LOW, MID, HIGH; purchase 0 to 3 as
    listed above (the strata D, C, B, A)."""

    engagement: Ints
    exploration: Ints
    purchase: Ints


class Axes(NamedTuple):
    """The axes as fitted on training buyers."""

    engagement_mean: Floats
    engagement_deviation: Floats
    by_events: ByEvents
    engagement_cuts: Floats
    exploration_cuts: Floats

    @classmethod
    def fit(cls, vectors: NDArray[np.float32]) -> Self:
        """Learn scales and terciles from training buyers' raw vectors float32 [n, 403], whole histories."""
        judged = vectors[vectors[:, EVENTS] >= MIN_EVENTS]
        logs = _logs(judged if len(judged) else vectors)
        engagement = logs[:, list(ENGAGEMENT)]
        deviation = engagement.std(axis=0)
        unfinished = cls(
            engagement.mean(axis=0),
            np.where(deviation > _FLAT, deviation, 1.0),
            ByEvents.fit(logs[:, EVENTS], *_breadth(logs)),
            np.zeros(2),
            np.zeros(2),
        )
        terciles = (1 / 3, 2 / 3)
        return unfinished._replace(
            engagement_cuts=np.quantile(unfinished._engagement(logs), terciles),
            exploration_cuts=np.quantile(unfinished._exploration(logs), terciles),
        )

    def scores(self, vectors: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Engagement and exploration of raw vectors, float64 [n] each, in deviations of training buyers."""
        logs = _logs(vectors)
        return self._engagement(logs), self._exploration(logs)

    def levels(self, vectors: NDArray[np.float32]) -> Levels:
        """The levels of raw vectors float32 [n, 403]."""
        engagement, exploration = self.scores(vectors)
        return Levels(
            np.searchsorted(self.engagement_cuts, engagement).astype(np.int64),
            np.searchsorted(self.exploration_cuts, exploration).astype(np.int64),
            len(STRATA) - 1 - strata(vectors),
        )

    def _engagement(self, logs: Floats) -> Floats:
        scaled = (logs[:, list(ENGAGEMENT)] - self.engagement_mean) / self.engagement_deviation
        return np.asarray(scaled.mean(axis=1))

    def _exploration(self, logs: Floats) -> Floats:
        columns, known = _breadth(logs)
        scaled = self.by_events.standardise(logs[:, EVENTS], columns) * known
        return np.asarray(scaled.sum(axis=1) / known.sum(axis=1))


def _breadth(logs: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Parts of exploration, float64 [n, 3], and which are known, bool [n, 3]; the looks always are."""
    looks = np.log1p(np.expm1(logs[:, list(LOOKS)]).sum(axis=1))
    parts = np.column_stack([looks, logs[:, list(DISTINCT)]])
    return parts, np.column_stack([np.ones(len(parts), np.bool_), logs[:, list(DISTINCT)] > 0])


def _logs(vectors: NDArray[np.float32]) -> Floats:
    return np.log1p(np.maximum(vectors[:, : len(SCALARS)].astype(np.float64), 0.0))
