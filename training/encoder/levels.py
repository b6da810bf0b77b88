"""The three coordinates of the latent that hold the levels of the axes; computed, not learned.

How engaged and how exploring a buyer is and how deep into the funnel are rules of the vector (axes.py). A
network of this size learns them from some thousand buyers only roughly, and worse for a store that it never
saw; then one code holds both ends. So the last three of the 96 latent coordinates are the levels themselves:
the scores of engagement and exploration, squashed so that low and high lie far apart and nothing is spent on
how low is low, and the depth. The other 93 are learned, and kept within REACH, so that no store is so far
from all codes that the levels drown.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from feature_store.fold.vector import N_SCALARS
from inference.encoders.graph import LATENT_SIZE
from training.encoder.axes import DISTINCT, ENGAGEMENT, EVENTS, FUNNEL_STEPS, KNOTS, LOOKS, Axes

COORDINATES: Final = 3
_NARROWEST: Final = 1e-3
_ANY: Final = 0.1
"""log1p of one event is 0.69; whether next to nothing is more than 0 differs from runtime to runtime."""
REACH: Final = 10.0
"""The longest that the learned part of a latent can be."""


class LevelCoordinates(nn.Module):
    """Latents float32 [n, 96] and log1p of scalars float32 [n, 16] -> latents with three computed ones.

    With s = scale * REACH: that of engagement or exploration is s tanh((2 score - c1 - c2) / (c2 - c1)) for
    the terciles c1 and c2 of the score, so 0 in the middle and 0.76 s at a tercile; that of the funnel is -s
    for who only looked and s for who purchased, in equal steps. Where the scaling hides the funnel, nobody
    has gone into it. The learned part v becomes v / sqrt(1 + |v|^2 / REACH^2). A scale of 0 leaves the
    latents as they are.
    """

    engagement_mean: Tensor
    engagement_deviation: Tensor
    knots: Tensor
    breadth_mean: Tensor
    breadth_deviation: Tensor
    cuts: Tensor
    learned: Tensor
    first: Tensor

    def __init__(self, axes: Axes, scale: float) -> None:
        super().__init__()
        self.scale = scale
        cuts = np.stack([axes.engagement_cuts, axes.exploration_cuts])
        self._keep("engagement_mean", axes.engagement_mean)
        self._keep("engagement_deviation", axes.engagement_deviation)
        self._keep("knots", KNOTS)
        self._keep("breadth_mean", axes.by_events.mean)
        self._keep("breadth_deviation", axes.by_events.deviation)
        self._keep("cuts", cuts)
        # Whole latents and rows of 16 with zeros, not parts of them: a runtime computes sums and logarithms
        # of other widths otherwise at a row's end than within it, so with bits that depend on the batch.
        self._keep("learned", np.repeat([1.0, 0.0], [LATENT_SIZE - COORDINATES, COORDINATES]))
        self._keep("first", np.eye(N_SCALARS)[0])

    def _keep(self, name: str, value: NDArray[np.float64]) -> None:
        self.register_buffer(name, torch.from_numpy(value).float())

    def forward(self, latents: Tensor, logs: Tensor) -> Tensor:
        """Put the three coordinates in the place of the last three."""
        if self.scale == 0:
            return latents
        score = torch.stack([self._engagement(logs), self._exploration(logs)], dim=1)
        low, high = self.cuts[:, 0], self.cuts[:, 1]
        coordinates = torch.tanh((2 * score - low - high) / (high - low).clamp(min=_NARROWEST))
        coordinates = REACH * self.scale * torch.cat([coordinates, _depth(logs)], dim=1)
        learned = latents * self.learned
        shrink = (1.0 + learned.square().sum(dim=1, keepdim=True) / REACH**2).sqrt()
        return learned / shrink + F.pad(coordinates, (latents.shape[1] - COORDINATES, 0))

    def _engagement(self, logs: Tensor) -> Tensor:
        return ((logs[:, list(ENGAGEMENT)] - self.engagement_mean) / self.engagement_deviation).mean(dim=1)

    def _exploration(self, logs: Tensor) -> Tensor:
        counts = logs.exp() - 1.0
        looks = sum((counts[:, i : i + 1] for i in LOOKS), torch.zeros_like(counts[:, :1]))
        looks = torch.log1p(looks * self.first)[:, :1]
        distinct = logs[:, list(DISTINCT)]
        known = torch.cat([torch.ones_like(looks), (distinct > _ANY).to(logs.dtype)], dim=1)
        steps = (logs[:, EVENTS : EVENTS + 1] - self.knots[:-1]) / (self.knots[1:] - self.knots[:-1])
        steps = steps.clamp(0.0, 1.0)
        mean = self.breadth_mean[0] + steps @ self.breadth_mean.diff(dim=0)
        deviation = self.breadth_deviation[0] + steps @ self.breadth_deviation.diff(dim=0)
        scaled = (torch.cat([looks, distinct], dim=1) - mean) / deviation * known
        return scaled.sum(dim=1) / known.sum(dim=1)


def _depth(logs: Tensor) -> Tensor:
    """How deep into the funnel, from -1 to 1, float32 [n, 1]: feature_store.fold.funnel.strata in torch."""
    reached = (logs[:, list(FUNNEL_STEPS)] > _ANY).to(logs.dtype)
    steps = torch.arange(1, len(FUNNEL_STEPS) + 1, device=logs.device, dtype=logs.dtype)
    depth: Tensor = (reached * steps).max(dim=1, keepdim=True).values
    return 2.0 * depth / len(FUNNEL_STEPS) - 1.0
