"""Synthetic buyers and one small trained model that the tests of this folder share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from feature_store.fold.vector import EMBEDDING_SIZE, EMBEDDINGS, MASKS, N_SCALARS, PRODUCT_SETS, VECTOR_SIZE
from feature_store.history.offline_fold import BuyerKey
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors
from training.encoder.train import Trained, train

SMALL = TrainConfig(epochs=3, warmup_epochs=2, batch_size=256, epoch_rows=1500, forecast_epochs=2)


def synthetic_buyers(n: int, seed: int = 0, kinds: int = 30) -> BuyerVectors:
    """Buyers of `kinds` kinds, each with its own rates and its own direction of every embedding."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, kinds, n)
    rates = random.lognormal(0.0, 1.2, (kinds, N_SCALARS))
    vectors = np.zeros((n, VECTOR_SIZE), dtype=np.float32)
    vectors[:, :N_SCALARS] = random.poisson(rates[kind] * random.lognormal(0.0, 0.5, (n, 1)))
    shape = (n, len(PRODUCT_SETS), EMBEDDING_SIZE)
    embeddings = random.normal(size=(kinds, *shape[1:]))[kind] + 0.7 * random.normal(size=shape)
    embeddings /= np.linalg.norm(embeddings, axis=2, keepdims=True)
    masks = vectors[:, [4, 9, 12]] > 0
    vectors[:, EMBEDDINGS] = (embeddings * masks[:, :, None]).reshape(n, -1)
    vectors[:, MASKS] = masks
    return whole_histories([("s", str(i)) for i in range(n)], vectors)


def whole_histories(buyers: list[BuyerKey], vectors: NDArray[np.float32]) -> BuyerVectors:
    """One row per buyer, of the whole history."""
    rows, unknown = np.arange(len(buyers)), np.full(len(buyers), -1)
    whole, time = np.ones(len(buyers), dtype=np.bool_), np.zeros(len(buyers), dtype=np.int64)
    return BuyerVectors(buyers, vectors, rows, whole, rows, unknown, time, unknown)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def buyers() -> BuyerVectors:
    return synthetic_buyers(1500)


@pytest.fixture(scope="session")
def trained(buyers: BuyerVectors, _one_thread: None) -> Trained:
    return train(buyers, SMALL)
