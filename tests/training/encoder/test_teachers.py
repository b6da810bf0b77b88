"""Teachers say a chance where the rows allow it, and never what they remember of a buyer."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from feature_store.fold.vector import KINDS
from tests.training.conftest import synthetic_buyers
from training.encoder.dataset import BuyerVectors
from training.encoder.outcomes import OUTCOMES, Outcomes
from training.encoder.teachers import Targets, teach

PURCHASE = OUTCOMES.index("purchase")


def taught(chance: np.ndarray, data: BuyerVectors, share: float = 0.7) -> tuple[np.ndarray, Targets]:
    """Whether a purchase came by these chances (float64 [n]; NaN: not known), and the targets."""
    known, happened = np.zeros((2, len(data.vectors), len(OUTCOMES)), dtype=np.bool_)
    known[:, PURCHASE] = ~np.isnan(chance)
    happened[:, PURCHASE] = np.random.default_rng(1).random(len(chance)) < np.nan_to_num(chance)
    return happened[:, PURCHASE], teach(data, Outcomes(known, happened & known), share, seed=0)


def test_a_chance_is_learned_and_noise_is_not_remembered() -> None:
    data = synthetic_buyers(1000)
    signal = data.vectors[:, KINDS.start] > 6
    came, targets = taught(np.where(signal, 0.5, 0.1), data, share=1.0)
    chance = targets.chance[:, PURCHASE]
    assert chance[signal].mean() > 2 * chance[~signal].mean()
    # Within rows of one chance, what came is noise: a teacher that had seen it would know it.
    assert roc_auc_score(came[signal], chance[signal]) < 0.6


def test_what_happened_stays_in_the_target() -> None:
    data = synthetic_buyers(300)
    came, targets = taught(np.full(600, 0.3), data)
    chance = targets.chance[:, PURCHASE]
    assert chance[came].min() >= 0.3
    assert chance[~came].max() <= 0.7
    assert (taught(np.full(600, 0.3), data, share=0.0)[1].chance[:, PURCHASE] == came).all()


def test_nobody_teaches_what_hardly_ever_happened() -> None:
    chance = np.zeros(600)
    chance[:5] = 1.0
    assert not taught(chance, synthetic_buyers(300))[1].known.any()


def test_only_known_rows_are_taught() -> None:
    chance = np.full(600, 0.4)
    chance[:200] = np.nan
    known = taught(chance, synthetic_buyers(300))[1].known
    assert known[:, PURCHASE].tolist() == [False] * 200 + [True] * 400
    assert known.sum() == 400
