"""The quantiser against hand computations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.encoder.quantizers.codebook import LEAST_CODES, codes_per_cell, square_distances
from training.encoder.quantizers.moving_averages import EmaQuantizer

pytestmark = pytest.mark.numeric


def one_cell(latents: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(latents), dtype=torch.long)


def call(quantizer: EmaQuantizer, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = quantizer(latents, one_cell(latents))
    return found


def with_codebook(codebook: list[list[float]], **settings: float) -> EmaQuantizer:
    quantizer = EmaQuantizer(len(codebook), len(codebook[0]), 1, **settings)  # type: ignore[arg-type]
    quantizer.codebook.copy_(torch.tensor(codebook))
    quantizer.sums.copy_(quantizer.codebook)
    return quantizer


def test_nearest_code_and_commitment() -> None:
    quantizer = with_codebook([[0.0, 0.0], [10.0, 0.0]]).eval()
    quantized, indices, loss = call(quantizer, torch.tensor([[1.0, 0.0], [9.0, 2.0]]))
    assert indices.tolist() == [0, 1]
    assert quantized.tolist() == [[0.0, 0.0], [10.0, 0.0]]
    assert loss.item() == pytest.approx((1 + 0 + 1 + 4) / 4)


def test_distances_are_those_of_the_difference() -> None:
    latents, codebook = torch.randn(50, 6), torch.randn(9, 6)
    expected = (latents[:, None] - codebook[None]).square().sum(dim=2)
    torch.testing.assert_close(
        square_distances(latents, one_cell(latents), codebook, one_cell(codebook)),
        expected,
        rtol=1e-4,
        atol=1e-4,
    )


def test_gradient_goes_straight_through() -> None:
    latents = torch.randn(5, 2, requires_grad=True)
    weights = torch.randn(5, 2)
    quantized, _, _ = call(with_codebook([[0.0, 0.0], [1.0, 1.0]]).eval(), latents)
    (quantized * weights).sum().backward()
    assert latents.grad is not None
    torch.testing.assert_close(latents.grad, weights)


def test_commitment_pulls_the_latent_to_its_code_and_leaves_the_codebook_alone() -> None:
    latents = torch.tensor([[1.0, 3.0]], requires_grad=True)
    quantizer = with_codebook([[0.0, 0.0], [50.0, 50.0]]).eval()
    call(quantizer, latents)[2].backward()
    assert latents.grad is not None
    assert latents.grad.tolist() == [[1.0, 3.0]]  # 2 (z - e) / 2 elements
    assert not quantizer.codebook.requires_grad


def test_moving_averages_by_hand() -> None:
    quantizer = with_codebook([[0.0], [10.0]], decay=0.9, revive_below=0.0)
    call(quantizer, torch.tensor([[1.0], [2.0], [12.0]]))
    # uses: 0.9 * 1 + 0.1 * (2, 1); sums: 0.9 * (0, 10) + 0.1 * (1 + 2, 12)
    np.testing.assert_allclose(quantizer.uses, [1.1, 1.0], rtol=1e-6)
    np.testing.assert_allclose(quantizer.sums[:, 0], [0.3, 10.2], rtol=1e-6)
    np.testing.assert_allclose(quantizer.codebook[:, 0], [0.3 / 1.1, 10.2 / 1.0], rtol=1e-4)


def test_the_codebook_rests_outside_training() -> None:
    quantizer = with_codebook([[0.0], [10.0]]).eval()
    before = quantizer.codebook.clone()
    call(quantizer, torch.tensor([[1.0], [2.0]]))
    assert torch.equal(quantizer.codebook, before)


def test_a_dead_code_restarts_at_a_latent_of_the_batch() -> None:
    quantizer = with_codebook([[0.0], [1000.0]], decay=0.5, revive_below=0.1)
    latents = torch.tensor([[1.0], [-1.0], [2.0]])
    for _ in range(20):
        call(quantizer, latents)
    assert (quantizer.codebook.abs() <= 2.0).all()
    assert set(quantizer.nearest(latents, one_cell(latents)).tolist()) == {0, 1}


def test_a_code_in_use_is_not_revived() -> None:
    quantizer = with_codebook([[0.0], [1000.0]], decay=0.5, revive_below=0.1)
    for _ in range(20):
        call(quantizer, torch.tensor([[1.0], [-1.0], [999.0]]))
    assert quantizer.codebook[1].item() == pytest.approx(999.0, rel=1e-3)


def test_initialisation_depends_on_the_seed_alone() -> None:
    latents = torch.randn(400, 8, generator=torch.Generator().manual_seed(5))

    def placed(seed: int) -> torch.Tensor:
        quantizer = EmaQuantizer(32, 8, 1, seed=seed)
        quantizer.initialise(latents, one_cell(latents))
        return quantizer.codebook

    assert torch.equal(placed(1), placed(1))
    assert not torch.equal(placed(1), placed(2))


def test_initialisation_finds_far_clusters() -> None:
    centres = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
    latents = centres.repeat(50, 1) + torch.randn(200, 2)
    quantizer = EmaQuantizer(4, 2, 1)
    quantizer.initialise(latents, one_cell(latents))
    assert sorted(quantizer.nearest(centres, one_cell(centres)).tolist()) == [0, 1, 2, 3]
    np.testing.assert_allclose(quantizer.uses, [1.0] * 4)


def test_a_row_gets_a_code_of_its_cell_however_far() -> None:
    quantizer = with_codebook([[0.0], [1.0], [100.0]])
    quantizer.cell_of_code.copy_(torch.tensor([0, 0, 1]))
    assert quantizer.nearest(torch.tensor([[0.1], [0.1]]), torch.tensor([0, 1])).tolist() == [0, 2]


def test_a_dead_code_restarts_in_its_own_cell() -> None:
    quantizer = EmaQuantizer(4, 1, 2, decay=0.5, revive_below=0.1)
    quantizer.cell_of_code.copy_(torch.tensor([0, 0, 1, 1]))
    quantizer.codebook.copy_(torch.tensor([[0.0], [1000.0], [500.0], [900.0]]))
    quantizer.sums.copy_(quantizer.codebook)
    latents, cells = torch.tensor([[1.0], [-1.0], [502.0], [498.0]]), torch.tensor([0, 0, 1, 1])
    for _ in range(20):
        quantizer(latents, cells)
    assert (quantizer.codebook[:2].abs() <= 2.0).all()
    assert ((quantizer.codebook[2:] - 500.0).abs() <= 3.0).all()


@given(st.lists(st.integers(0, 10**7), min_size=8, max_size=8))
def test_cells_share_all_codes_and_none_goes_short(rows: list[int]) -> None:
    given_codes = codes_per_cell(np.array(rows), 256)
    assert given_codes.sum() == 256
    assert given_codes.min() >= LEAST_CODES
    for i, j in itertools.combinations(range(8), 2):
        if rows[i] > rows[j]:
            assert given_codes[i] >= given_codes[j]


def test_a_cell_without_rows_has_codes_that_count_for_nothing() -> None:
    quantizer = EmaQuantizer(64, 3, 8)
    latents = torch.randn(40, 3)
    quantizer.initialise(latents, one_cell(latents))
    assert torch.bincount(quantizer.cell_of_code).tolist() == [36] + [4] * 7
    assert torch.isfinite(quantizer.codebook).all()
    assert quantizer.uses[36:].sum() == 0
