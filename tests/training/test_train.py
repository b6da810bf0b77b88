"""Training: repeatable, useful, and clear about data that cannot be learned from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference.graph import CODES
from tests.training.conftest import SMALL, synthetic_buyers
from training.dataset import BuyerVectors, split_by_buyer
from training.errors import DatasetError, DivergedError
from training.model import Scaling
from training.report import code_shares, perplexity
from training.train import Trained, train


def codes(trained: Trained, data: BuyerVectors) -> np.ndarray:
    with torch.no_grad():
        return trained.model.quantizer.nearest(trained.model.latents(torch.from_numpy(data.vectors))).numpy()


def test_the_same_seed_gives_the_same_codes(trained: Trained, buyers: BuyerVectors) -> None:
    again, other = train(buyers, SMALL), train(buyers, SMALL.model_copy(update={"seed": 1}))
    assert np.array_equal(codes(again, buyers), codes(trained, buyers))
    assert torch.equal(again.model.quantizer.codebook, trained.model.quantizer.codebook)
    assert not np.array_equal(codes(other, buyers), codes(trained, buyers))


def test_the_warm_up_keeps_the_codebook_from_collapsing(buyers: BuyerVectors) -> None:
    def used(**settings: int) -> float:
        result = train(buyers, SMALL.model_copy(update=settings))
        return perplexity(code_shares(codes(result, buyers), CODES))

    assert used(warmup_epochs=10, epochs=10) > 100
    assert used(warmup_epochs=0, epochs=20) < 50


def test_more_training_rebuilds_unseen_buyers_better(trained: Trained, buyers: BuyerVectors) -> None:
    longer = train(buyers, SMALL.model_copy(update={"epochs": 15}))
    assert longer.validation_losses["scalars"] < trained.validation_losses["scalars"] < 1.0


def test_it_stops_early_and_keeps_the_best_epoch(buyers: BuyerVectors) -> None:
    overshooting = SMALL.model_copy(update={"epochs": 40, "patience": 1, "learning_rate": 0.02})
    result = train(buyers, overshooting)
    assert result.epochs == result.best_epoch + 1 < SMALL.warmup_epochs + 40


def test_scaling_sees_training_buyers_alone(trained: Trained, buyers: BuyerVectors) -> None:
    rows, _ = split_by_buyer(buyers, SMALL.validation_share, SMALL.seed)
    expected = Scaling.fit(buyers.vectors[rows], SMALL.embedding_weight)
    assert torch.equal(trained.model.scaling.mean, expected.mean)


def take(data: BuyerVectors, n: int) -> BuyerVectors:
    return BuyerVectors(data.buyers[:n], *(column[:n] for column in data[1:]))


def test_no_buyer(buyers: BuyerVectors) -> None:
    with pytest.raises(DatasetError, match="no buyer"):
        train(take(buyers, 0), SMALL)


def test_fewer_buyers_than_codes(buyers: BuyerVectors) -> None:
    with pytest.raises(DatasetError, match="200 buyers cannot fill 256 codes"):
        train(take(buyers, 200), SMALL)


def test_constant_features(buyers: BuyerVectors) -> None:
    same = buyers._replace(vectors=np.repeat(buyers.vectors[:1], len(buyers.vectors), axis=0))
    with pytest.raises(DatasetError, match="only 1 different"):
        train(same, SMALL)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite(bad: float) -> None:
    data = synthetic_buyers(300)
    data.vectors[17, 3] = bad
    with pytest.raises(DatasetError, match=r"1 training rows hold NaN or inf, first rows \[17\]"):
        train(data, SMALL)


def test_a_diverging_loss(buyers: BuyerVectors) -> None:
    with pytest.raises(DivergedError, match="lower the learning rate"):
        train(buyers, SMALL.model_copy(update={"learning_rate": 1e12}))
