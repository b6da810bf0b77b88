"""Shapes and scaling of the model."""

from __future__ import annotations

import numpy as np
import torch

from feature_store.vector import EMBEDDINGS, MASKS, N_SCALARS, VECTOR_SIZE
from tests.training.conftest import SMALL
from training.dataset import BuyerVectors
from training.model import VQVAE, Scaling


def test_the_encoder_is_that_of_the_paper(buyers: BuyerVectors) -> None:
    model = VQVAE(Scaling.fit(buyers.vectors, 0.5), SMALL)
    assert sum(p.numel() for p in model.encoder.parameters()) == 148_704  # 403-256-128-96
    assert (
        sum(p.numel() for p in model.decoder.parameters()) == 149_011  # 96-128-256-403
    )
    assert model.latents(torch.from_numpy(buyers.vectors[:7])).shape == (7, 96)
    assert model.quantizer.codebook.shape == (256, 96)


def test_every_loss_term_reaches_the_encoder(buyers: BuyerVectors) -> None:
    model = VQVAE(Scaling.fit(buyers.vectors, 0.5), SMALL)
    for term in model(torch.from_numpy(buyers.vectors[:64])):
        model.zero_grad()
        term.backward(retain_graph=True)
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.parameters())


def test_scaled_blocks_are_balanced(buyers: BuyerVectors) -> None:
    scaled = Scaling.fit(buyers.vectors, 0.5)(torch.from_numpy(buyers.vectors)).numpy()
    np.testing.assert_allclose(scaled[:, :N_SCALARS].mean(axis=0), 0.0, atol=1e-2)
    np.testing.assert_allclose(scaled[:, :N_SCALARS].var(axis=0), 1.0, atol=2e-2)
    np.testing.assert_allclose(scaled[:, EMBEDDINGS].var(axis=0).sum(), 0.5 * N_SCALARS, rtol=1e-3)
    assert np.array_equal(scaled[:, MASKS], buyers.vectors[:, MASKS])


def test_a_constant_scalar_and_empty_embeddings_do_not_explode(buyers: BuyerVectors) -> None:
    vectors = buyers.vectors.copy()
    vectors[:, 12] = 0.0
    vectors[:, EMBEDDINGS] = 0.0
    scaling = Scaling.fit(vectors, 0.5)
    live = vectors[:1].copy()
    live[0, 12] = 3.0
    scaled = scaling(torch.from_numpy(live))
    assert torch.isfinite(scaled).all()
    assert abs(scaled[0, 12].item() - np.log1p(3.0)) < 1e-6


def test_extremes_stay_finite(buyers: BuyerVectors) -> None:
    rows = np.full((4, VECTOR_SIZE), 1.0, dtype=np.float32)
    rows[:, :N_SCALARS] = np.array([1e9, 1e12, 3e38, -3e38])[:, None]
    scaled = Scaling.fit(buyers.vectors, 0.5)(torch.from_numpy(rows))
    assert torch.isfinite(scaled).all()
    assert scaled[:, :N_SCALARS].abs().max() <= 6.0
