"""Shapes, scaling and terms of the model."""

from __future__ import annotations

import numpy as np
import torch

from feature_store.fold.funnel import fact_cells
from feature_store.fold.vector import EMBEDDINGS, GAPS, KINDS, N_SCALARS, SESSION
from tests.training.conftest import SMALL
from training.encoder.dataset import BuyerVectors
from training.encoder.facts import cells_of
from training.encoder.model import VQVAE, Batch
from training.encoder.outcomes import OUTCOMES
from training.encoder.scaling import INPUTS, NUMBERS, RECENT, STEP, Scaling

NUMBER_COLUMNS = np.r_[0:N_SCALARS, SESSION, GAPS]


def test_shapes(buyers: BuyerVectors) -> None:
    model = VQVAE(Scaling.fit(buyers.vectors), 3, SMALL)
    assert model.latents(torch.from_numpy(buyers.vectors[:7])).shape == (7, 96)
    assert model.quantizer.codebook.shape == (256, 96)
    assert model.scaling(torch.from_numpy(buyers.vectors[:7])).shape == (7, INPUTS)


def test_every_loss_term_reaches_the_encoder(buyers: BuyerVectors) -> None:
    model = VQVAE(Scaling.fit(buyers.vectors), 3, SMALL)
    vectors = torch.from_numpy(buyers.vectors[:64])
    chance, weight = torch.full((64, len(OUTCOMES)), 0.3), torch.ones(64, len(OUTCOMES))
    for term in model(Batch(vectors, torch.arange(64) % 3, chance, weight)):
        model.zero_grad()
        term.backward(retain_graph=True)
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.parameters())


def test_what_is_not_known_teaches_nothing(buyers: BuyerVectors) -> None:
    model = VQVAE(Scaling.fit(buyers.vectors), 1, SMALL)
    vectors, weight = torch.from_numpy(buyers.vectors[:8]), torch.zeros(8, len(OUTCOMES))
    losses = model(Batch(vectors, torch.zeros(8, dtype=torch.long), weight + 0.5, weight))
    assert losses.outcomes == losses.latent_outcomes == 0
    assert losses.rebuilding > 0


def test_the_numbers_have_one_scale(buyers: BuyerVectors) -> None:
    scaling = Scaling.fit(buyers.vectors)
    standard = (scaling.logs(torch.from_numpy(buyers.vectors)) - scaling.mean) / scaling.deviation
    varies = buyers.vectors[:, np.r_[0:N_SCALARS, SESSION]].std(axis=0) > 0
    np.testing.assert_allclose(standard.mean(dim=0)[varies], 0.0, atol=1e-3)
    np.testing.assert_allclose(standard.std(dim=0)[varies], 1.0, atol=1e-2)


def test_a_history_of_years_stays_in_range(buyers: BuyerVectors) -> None:
    scaling = Scaling.fit(buyers.vectors)
    rows = np.repeat(buyers.vectors[:1], 4, axis=0)
    rows[:, NUMBER_COLUMNS] = np.array([1e6, 1e12, 3e38, -3e38])[:, None]
    scaled = scaling(torch.from_numpy(rows)).numpy()
    assert np.isfinite(scaled).all()
    assert np.abs(scaled[:, :NUMBERS]).max() <= 4.0


def test_more_is_never_scaled_to_less(buyers: BuyerVectors) -> None:
    rows = np.repeat(buyers.vectors[:1], 50, axis=0)
    rows[:, 0] = np.geomspace(1, 1e5, 50)
    events = Scaling.fit(buyers.vectors)(torch.from_numpy(rows))[:, 0]
    assert (events.diff() > 0).all()


def test_the_latest_events_are_read_as_kinds_and_gaps(buyers: BuyerVectors) -> None:
    row = np.zeros((1, buyers.vectors.shape[1]), dtype=np.float32)
    row[0, KINDS.start : KINDS.start + 2] = [10, 1]  # a purchase, and a page view before it
    row[0, GAPS.start] = np.expm1(4.0)
    order = Scaling()(torch.from_numpy(row))[0, -RECENT * STEP :].reshape(RECENT, STEP)
    expected = torch.zeros(RECENT, STEP)
    expected[0, 9] = expected[1, 0] = 1.0
    expected[0, -1] = 1.0
    torch.testing.assert_close(order, expected)


def test_which_products_a_shop_sells_changes_nothing(buyers: BuyerVectors) -> None:
    other = buyers.vectors.copy()
    other[:, EMBEDDINGS] = other[:, EMBEDDINGS][:, ::-1]
    model = VQVAE(Scaling.fit(buyers.vectors), 1, SMALL)
    torch.testing.assert_close(*(model.latents(torch.from_numpy(v)) for v in (buyers.vectors, other)))


def test_the_graph_reads_facts_as_the_fold_does(buyers: BuyerVectors) -> None:
    rows = np.concatenate([buyers.vectors, -buyers.vectors[:5], np.full_like(buyers.vectors[:1], 3e38)])
    assert cells_of(torch.from_numpy(rows)).tolist() == fact_cells(rows).tolist()
    assert len(set(fact_cells(buyers.vectors).tolist())) == 8
