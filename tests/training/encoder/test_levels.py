"""The latent's three told coordinates: the axes' levels, as numpy has them."""

from __future__ import annotations

import numpy as np
import torch

from training.encoder.axes import HIGH, LOW, Axes
from training.encoder.dataset import BuyerVectors
from training.encoder.levels import REACH, LevelCoordinates
from training.encoder.scaling import Scaling


def told(buyers: BuyerVectors, scale: float) -> tuple[Axes, np.ndarray, torch.Tensor]:
    axes = Axes.fit(buyers.vectors)
    latents = torch.randn(len(buyers.vectors), 96, generator=torch.Generator().manual_seed(0))
    logs = Scaling.fit(buyers.vectors, 0.5).logs(torch.from_numpy(buyers.vectors))
    return axes, LevelCoordinates(axes, scale)(latents, logs).numpy(), latents


def test_they_are_the_squashed_scores(buyers: BuyerVectors) -> None:
    axes, placed, _ = told(buyers, 0.4)
    cuts = (axes.engagement_cuts, axes.exploration_cuts)
    for at, score, (low, high) in zip((-3, -2), axes.scores(buyers.vectors), cuts, strict=True):
        expected = 0.4 * REACH * np.tanh((2 * score - low - high) / (high - low))
        np.testing.assert_allclose(placed[:, at], expected, atol=2e-3)


def test_the_learned_part_keeps_its_direction_and_stays_within_reach(buyers: BuyerVectors) -> None:
    axes = Axes.fit(buyers.vectors)
    logs = torch.zeros(3, 16)
    far = torch.ones(3, 96) * torch.tensor([[1e-3], [1.0], [1e6]])
    learned = LevelCoordinates(axes, 0.4)(far, logs)[:, :-3]
    lengths = learned.norm(dim=1)
    np.testing.assert_allclose(lengths[0], 1e-3 * 93**0.5, rtol=1e-3)
    assert 1.0 < lengths[1] < lengths[2] <= REACH * 1.0001


def test_the_third_is_the_depth_in_the_funnel(buyers: BuyerVectors) -> None:
    axes, placed, _ = told(buyers, 0.3)
    depth = axes.levels(buyers.vectors).purchase
    assert set(depth.tolist()) == {0, 1, 2, 3}
    np.testing.assert_allclose(placed[:, -1], 0.3 * REACH * (2.0 * depth / 3.0 - 1.0), rtol=1e-6)


def test_low_and_high_lie_far_apart(buyers: BuyerVectors) -> None:
    axes, placed, _ = told(buyers, 0.4)
    levels = axes.levels(buyers.vectors)
    for at, level in ((-3, levels.engagement), (-2, levels.exploration)):
        assert placed[level == HIGH, at].min() - placed[level == LOW, at].max() > 2 * 0.4 * REACH * 0.75


def test_without_a_scale_nothing_is_told(buyers: BuyerVectors) -> None:
    _, placed, latents = told(buyers, 0.0)
    assert np.array_equal(placed, latents.numpy())


def test_an_axis_on_which_all_are_alike_stays_finite(buyers: BuyerVectors) -> None:
    same = buyers._replace(vectors=np.repeat(buyers.vectors[:1], 20, axis=0))
    _, placed, _ = told(same, 4.0)
    assert np.isfinite(placed).all()
