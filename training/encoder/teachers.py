"""What the encoder is taught of what comes: outcomes, smoothed by cross-fitted teachers.

A yes or no says little of a chance of 3 %. Teachers that read the same numbers, gradient boosting over all
stores and a logistic regression per store, say more; each row is judged only by teachers that have not seen
its buyer (3 folds by buyer), so a target is never what the teacher remembers. The code is then taught
(1 - s) y + s p (Hinton et al. 2015, arXiv 1503.02531), p from the mean log odds of the teachers.
"""

from __future__ import annotations

import warnings
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from feature_store.fold.vector import GAPS, KINDS, N_SCALARS, SESSION
from training.encoder.dataset import BuyerVectors
from training.encoder.outcomes import OUTCOMES, Outcomes
from training.encoder.sampling import store_index

FOLDS: Final = 3
_LEAST: Final = 20
"""Rows of each answer, yes and no, that a teacher needs; where there are fewer, nobody learns the outcome."""
_MOST_ROWS: Final = 40_000
"""More rows hardly make a teacher better, only slower."""
_EDGE: Final = 1e-3
Floats = NDArray[np.float32]


class Targets(NamedTuple):
    """What is taught of n rows: chance float32 [n, 8], in the order of OUTCOMES; known bool [n, 8], where it
    is taught."""

    chance: Floats
    known: NDArray[np.bool_]


def teach(data: BuyerVectors, outcomes: Outcomes, share: float, seed: int) -> Targets:
    """Targets of all rows; share: of the teachers in a target, the rest being what happened."""
    chance = outcomes.happened.astype(np.float32)
    known = outcomes.known.copy()
    fold = np.random.default_rng(seed).permutation(len(data.buyers))[data.buyer] % FOLDS
    store = store_index(data)[data.buyer]
    for outcome in range(len(OUTCOMES)):
        rows = np.flatnonzero(known[:, outcome])
        happened = outcomes.happened[rows, outcome]
        if min(happened.sum(), (~happened).sum()) < _LEAST:
            known[:, outcome] = False
        elif share > 0:
            counts = readable(data.vectors[rows])
            taught = _out_of_fold(counts, happened, store[rows], fold[rows], seed)
            chance[rows, outcome] = share * taught + (1 - share) * happened
    return Targets(chance, known)


def readable(vectors: Floats) -> Floats:
    """What teachers read: log1p of the scalars, of the session's numbers and of the gaps, and the kinds of
    the latest events, float32 [n, 64]."""
    numbers = np.concatenate([vectors[:, :N_SCALARS], vectors[:, SESSION], vectors[:, GAPS]], axis=1)
    return np.concatenate([np.log1p(numbers.clip(0.0)), vectors[:, KINDS]], axis=1)


def _out_of_fold(
    columns: Floats, happened: NDArray[np.bool_], store: NDArray[np.int64], fold: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Chance of each row, float64 [n], by teachers fitted on the other folds."""
    odds = np.zeros(len(happened))
    random = np.random.default_rng([seed, 1])
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for one in range(FOLDS):
            judged, others = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
            learned = random.permutation(others)[:_MOST_ROWS]
            boosted = _boosted(columns, happened, store, learned, judged, seed)
            odds[judged] = (boosted + _by_store(columns, happened, store, learned, judged, boosted)) / 2
    return np.asarray(1 / (1 + np.exp(-odds)))


def _boosted(
    columns: Floats,
    happened: NDArray[np.bool_],
    store: NDArray[np.int64],
    learned: NDArray[np.int64],
    judged: NDArray[np.int64],
    seed: int,
) -> NDArray[np.float64]:
    """Log odds by gradient boosting over all stores."""
    if len(np.unique(happened[learned])) < 2:
        return _log_odds(np.full(len(judged), happened[learned].mean() if len(learned) else 0.5))
    model = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.1, max_leaf_nodes=15, min_samples_leaf=20, random_state=seed
    )
    table = np.column_stack([columns, store])
    model.fit(table[learned], happened[learned])
    return _log_odds(model.predict_proba(table[judged])[:, 1])


def _by_store(
    columns: Floats,
    happened: NDArray[np.bool_],
    store: NDArray[np.int64],
    learned: NDArray[np.int64],
    judged: NDArray[np.int64],
    otherwise: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Log odds by a logistic regression per store on the counts; `otherwise` where a store has few rows."""
    counts = columns[:, : N_SCALARS + SESSION.stop - SESSION.start]
    odds = otherwise.copy()
    for one in np.unique(store[judged]):
        mine, theirs = learned[store[learned] == one], np.flatnonzero(store[judged] == one)
        yes = int(happened[mine].sum())
        if min(yes, len(mine) - yes) < _LEAST:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=100))
        model.fit(counts[mine], happened[mine])
        odds[theirs] = _log_odds(model.predict_proba(counts[judged[theirs]])[:, 1])
    return odds


def _log_odds(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = chance.clip(_EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)))
