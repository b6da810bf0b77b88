"""Synthetic buyers and one small trained model that the tests of this folder share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from feature_store.fold.vector import (
    EMBEDDING_SIZE,
    EMBEDDINGS,
    GAPS,
    KINDS,
    MASKS,
    N_SCALARS,
    PRODUCT_SETS,
    SESSION,
    VECTOR_SIZE,
)
from feature_store.history.offline_fold import BuyerKey
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors
from training.encoder.train import Trained, train

SMALL = TrainConfig(
    epochs=3,
    warmup_epochs=2,
    batch_size=256,
    epoch_rows=1500,
    learning_rate=1e-3,
    forecast_epochs=2,
    teacher_share=0.0,  # teachers have tests of their own, and take longer than all the rest
)
HOUR = 3_600_000
FUNNEL = [9, 11, 12]
"""Columns of carts, checkouts and purchases."""


def synthetic_buyers(n: int, seed: int = 0, kinds: int = 30) -> BuyerVectors:
    """Buyers of `kinds` kinds, each with its own rates and its own direction of every embedding: whole
    histories of one session, and before each the state after 3 events."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, kinds, n)
    rates = random.lognormal(0.0, 1.2, (kinds, N_SCALARS))
    ends = np.zeros((n, VECTOR_SIZE), dtype=np.float32)
    ends[:, :N_SCALARS] = random.poisson(rates[kind] * random.lognormal(0.0, 0.5, (n, 1)))
    ends[:, 1] = random.integers(1, 3, n)
    ends[:, FUNNEL] *= random.random((n, len(FUNNEL))) < 0.3
    shape = (n, len(PRODUCT_SETS), EMBEDDING_SIZE)
    embeddings = random.normal(size=(kinds, *shape[1:]))[kind] + 0.7 * random.normal(size=shape)
    embeddings /= np.linalg.norm(embeddings, axis=2, keepdims=True)
    masks = ends[:, [4, 9, 12]] > 0
    ends[:, EMBEDDINGS] = (embeddings * masks[:, :, None]).reshape(n, -1)
    ends[:, MASKS] = masks
    ends[:, SESSION] = ends[:, :N_SCALARS]
    ends[:, KINDS] = random.integers(0, 13, (n, 16))
    ends[:, GAPS] = random.lognormal(2.0, 1.0, (n, 16)) * (ends[:, KINDS] > 0)
    early = ends.copy()
    early[:, 0] = 3.0
    early[:, FUNNEL] = np.minimum(early[:, FUNNEL], random.integers(0, 2, (n, len(FUNNEL))))
    early[:, SESSION] = early[:, :N_SCALARS]
    whole = whole_histories([("s", str(i)) for i in range(n)], np.concatenate([ends, early]))
    rows, time = np.arange(n), np.zeros(2 * n, dtype=np.int64)
    time[0] = HOUR  # the store's history goes on after all sessions but one
    return whole._replace(
        buyer=np.tile(rows, 2),
        whole=np.repeat([True, False], n),
        session_end=np.tile(rows, 2),
        position=np.repeat([-1, 3], n),
        time=time,
        next_session_end=np.full(2 * n, -1),
    )


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
