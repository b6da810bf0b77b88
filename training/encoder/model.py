"""The behaviour-aware VQ-VAE: raw 403-d buyer vector -> scaled vector -> latent -> code -> rebuilt vector.

Shapes follow SimPersona (paper.md, Behaviour-aware VQ-VAE): encoder 403-256-128-96, 256 codes of 96
dimensions, mirrored decoder, auxiliary heads on the quantised vector, a contrastive term. The paper
leaves the heads' targets (axes.py) and the contrastive pairs open; these are ours.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from feature_store.fold.funnel import STRATA
from feature_store.fold.vector import EMBEDDING_SIZE, EMBEDDINGS, MASKS, N_SCALARS, PRODUCT_SETS, VECTOR_SIZE
from inference.encoders.graph import CODES, LATENT_SIZE
from training.encoder.axes import Axes
from training.encoder.config import TrainConfig
from training.encoder.levels import LevelCoordinates
from training.encoder.quantizers.codebook import nearest_code
from training.encoder.quantizers.moving_averages import EmaQuantizer
from training.encoder.quantizers.simvq import SimQuantizer
from training.encoder.scaling import Scaling

WIDTHS: Final = (VECTOR_SIZE, 256, 128, LATENT_SIZE)
HEADS: Final = {"engagement": 3, "exploration": 3, "purchase": len(STRATA)}
"""Auxiliary heads by their axis, with the number of its levels."""
_FORECAST_WIDTH: Final = 128
_ROWS: Final = 8192


class Batch(NamedTuple):
    """What a step sees of n rows: vectors float32 [n, 403] raw; levels int64 [n, 3] in the order of HEADS;
    end float32 [n, 403], the same buyers at the end of the session; ended bool [n], True where it is over."""

    vectors: Tensor
    levels: Tensor
    end: Tensor
    ended: Tensor


class Losses(NamedTuple):
    """Loss terms of a batch, scalars, not weighted; the fields are named as their weights are."""

    scalars: Tensor
    embeddings: Tensor
    masks: Tensor
    commitment: Tensor
    engagement: Tensor
    exploration: Tensor
    purchase: Tensor
    contrastive: Tensor

    def total(self, config: TrainConfig) -> Tensor:
        """What is minimised: the sum of the terms, each by its weight."""
        weights = [
            config.commitment if name == "commitment" else getattr(config, f"{name}_weight")
            for name in self._fields
        ]
        return torch.stack(
            [weight * term for weight, term in zip(weights, self, strict=True) if weight > 0]
        ).sum()


class VQVAE(nn.Module):
    """Scaling, encoder, levels, quantiser, decoder, heads; and, once there are types, the forecast."""

    def __init__(self, scaling: Scaling, axes: Axes, config: TrainConfig) -> None:
        super().__init__()
        self.scaling = scaling
        self.encoder = mlp(WIDTHS)
        self.levels = LevelCoordinates(axes, config.level_scale)
        self.quantizer = _quantizer(config)
        self.decoder = mlp(WIDTHS[::-1])
        self.heads = nn.ModuleDict({name: nn.Linear(LATENT_SIZE, levels) for name, levels in HEADS.items()})
        self.ahead = nn.Linear(LATENT_SIZE, LATENT_SIZE)
        self.temperature = config.temperature
        self.contrasts = config.contrastive_weight > 0
        self.forecast: Forecast | None = None

    def latents(self, vectors: Tensor) -> Tensor:
        """Raw vectors float32 [n, 403] -> latents float32 [n, 96]."""
        return self._place(vectors, self.scaling(vectors))

    def _place(self, vectors: Tensor, scaled: Tensor) -> Tensor:
        latents: Tensor = self.levels(self.encoder(scaled), self.scaling.logs(vectors))
        return latents

    @torch.no_grad()
    def codes(self, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        """Codes int64 [n] of raw vectors float32 [n, 403]; any n."""
        codebook = self.quantizer.codebook
        parts = torch.split(torch.from_numpy(vectors), _ROWS)
        codes = [nearest_code(self.latents(part.to(codebook.device)), codebook).cpu() for part in parts]
        return torch.cat(codes).numpy() if len(vectors) else np.empty(0, np.int64)

    def forward(self, batch: Batch, *, quantize: bool = True) -> Losses:
        """The loss terms; without the quantiser (warm-up) the latents go on as they are."""
        scaled = self.scaling(batch.vectors)
        latents = self._place(batch.vectors, scaled)
        decoded_from, commitment = latents, latents.new_zeros(())
        if quantize:
            decoded_from, _, commitment = self.quantizer(latents)
        scalars, embeddings, masks = _rebuilding(scaled, self.decoder(decoded_from))
        engagement, exploration, purchase = (
            F.cross_entropy(head(decoded_from), batch.levels[:, i])
            for i, head in enumerate(self.heads.values())
        )
        contrastive = self._contrast(latents, batch) if self.contrasts else latents.new_zeros(())
        return Losses(scalars, embeddings, masks, commitment, engagement, exploration, purchase, contrastive)

    def _contrast(self, latents: Tensor, batch: Batch) -> Tensor:
        """InfoNCE as in contrastive predictive coding (van den Oord et al. 2018, arXiv 1807.03748, section
        2.3): from a state inside a session, pick out the state at its end among those of the batch."""
        inside = torch.nonzero(~batch.ended).squeeze(1)
        if len(inside) < 2:
            return latents.new_zeros(())
        guess = F.normalize(self.ahead(latents[inside]), dim=1)
        ends = F.normalize(self.latents(batch.end[inside]), dim=1)
        return F.cross_entropy(
            guess @ ends.T / self.temperature, torch.arange(len(inside), device=guess.device)
        )


class Forecast(nn.Module):
    """The forecast head: scaled vectors float32 [n, 403] -> calibrated log odds float32 [n, types].

    training/types/forecast.py trains it once there are types.
    """

    temperature: Tensor

    def __init__(self, types: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(VECTOR_SIZE, _FORECAST_WIDTH),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(_FORECAST_WIDTH, types),
        )
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, scaled: Tensor) -> Tensor:
        """Log odds; their softmax is the probability of each type."""
        logits: Tensor = self.net(scaled)
        return logits / self.temperature


def _quantizer(config: TrainConfig) -> EmaQuantizer | SimQuantizer:
    if config.quantizer == "simvq":
        return SimQuantizer(CODES, LATENT_SIZE, commitment=config.commitment, seed=config.seed)
    return EmaQuantizer(
        CODES, LATENT_SIZE, decay=config.ema_decay, revive_below=config.revive_below, seed=config.seed
    )


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these widths with GELU between them."""
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def _rebuilding(scaled: Tensor, rebuilt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Squared error per row divided by 16, so that blocks keep the weights that the scaling gave them;
    an embedding counts only where its set is not empty; masks are bits, so cross-entropy."""
    masks = scaled[:, MASKS]
    shape = (-1, len(PRODUCT_SETS), EMBEDDING_SIZE)
    errors = (rebuilt[:, EMBEDDINGS] - scaled[:, EMBEDDINGS]).reshape(shape).square().sum(dim=2)
    bits = F.binary_cross_entropy_with_logits(rebuilt[:, MASKS], masks, reduction="sum")
    return (
        F.mse_loss(rebuilt[:, :N_SCALARS], scaled[:, :N_SCALARS]),
        (errors * masks).sum(dim=1).mean() / N_SCALARS,
        bits / (len(scaled) * N_SCALARS),
    )
