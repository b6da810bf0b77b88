"""Shapes and scaling of the model."""

from __future__ import annotations

import numpy as np
import torch

from feature_store.fold.vector import EMBEDDINGS, MASKS, N_SCALARS, VECTOR_SIZE
from tests.training.conftest import SMALL
from training.encoder.axes import Axes, ByEvents
from training.encoder.dataset import BuyerVectors
from training.encoder.model import VQVAE, Batch
from training.encoder.scaling import Scaling


def test_the_encoder_is_that_of_the_paper(buyers: BuyerVectors) -> None:
    model = VQVAE(Scaling.fit(buyers.vectors, 0.5), Axes.fit(buyers.vectors), SMALL)
    assert sum(p.numel() for p in model.encoder.parameters()) == 148_704  # 403-256-128-96
    assert (
        sum(p.numel() for p in model.decoder.parameters()) == 149_011  # 96-128-256-403
    )
    assert model.latents(torch.from_numpy(buyers.vectors[:7])).shape == (7, 96)
    assert model.quantizer.codebook.shape == (256, 96)


def test_every_loss_term_reaches_the_encoder(buyers: BuyerVectors) -> None:
    model = VQVAE(Scaling.fit(buyers.vectors, 0.5), Axes.fit(buyers.vectors), SMALL)
    vectors = torch.from_numpy(buyers.vectors[:64])
    levels = torch.from_numpy(np.stack(Axes.fit(buyers.vectors).levels(buyers.vectors[:64]), axis=1))
    for term in model(Batch(vectors, levels, vectors.flip(0), torch.arange(64) % 2 == 0)):
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


def test_relative_scaling_takes_out_how_many_events(buyers: BuyerVectors) -> None:
    vectors = buyers.vectors.copy()
    random = np.random.default_rng(0)
    vectors[:, 0] = random.integers(1, 60, len(vectors))
    vectors[:, 4] = random.poisson(0.8 * vectors[:, 0])

    def correlation(*, relative: bool) -> float:
        scaled = Scaling.fit(vectors, 0.5, relative=relative)(torch.from_numpy(vectors)).numpy()
        return float(np.corrcoef(scaled[:, 0], scaled[:, 4])[0, 1])

    assert correlation(relative=False) > 0.8
    assert abs(correlation(relative=True)) < 0.1


def test_torch_and_numpy_agree_on_what_peers_do(buyers: BuyerVectors) -> None:
    scaling = Scaling.fit(buyers.vectors, 0.5, relative=True)
    logs = scaling.logs(torch.from_numpy(buyers.vectors))
    by_events = ByEvents(
        scaling.by_events_mean.double().numpy(), scaling.by_events_deviation.double().numpy()
    )
    expected = by_events.standardise(logs[:, 0].double().numpy(), logs.double().numpy())
    np.testing.assert_allclose(scaling.against_peers(logs), expected, rtol=1e-3, atol=1e-4)


def test_a_hidden_funnel_changes_nothing(buyers: BuyerVectors) -> None:
    scaling = Scaling.fit(buyers.vectors, 0.5, relative=True, hide_funnel=True)
    model = VQVAE(scaling, Axes.fit(buyers.vectors), SMALL)
    bought = buyers.vectors.copy()
    bought[:, 9:13] += 2.0
    bought[:, 0] += 8.0  # the funnel's own events
    bought[:, 14:16] += 50.0
    bought[:, N_SCALARS + 128 : MASKS.start] = 0.5
    bought[:, MASKS.start + 1 :] = 1.0
    seen, hidden = (model.latents(torch.from_numpy(v)) for v in (buyers.vectors, bought))
    torch.testing.assert_close(seen, hidden)
