"""The VQ-VAE: raw 403-d buyer vector -> scaled vector -> latent -> code -> rebuilt vector.

Shapes follow SimPersona (paper.md, Behaviour-aware VQ-VAE): encoder 403-256-128-96, 256 codes of 96
dimensions, mirrored decoder. Scaling is a part of the model, so that it is exported with it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from feature_store.vector import (
    EMBEDDING_SIZE,
    EMBEDDINGS,
    MASKS,
    N_SCALARS,
    PRODUCT_SETS,
    SCALARS,
    VECTOR_SIZE,
)
from inference.graph import CODES, LATENT_SIZE
from training.config import TrainConfig
from training.quantizer import EmaQuantizer

WIDTHS: Final = (VECTOR_SIZE, 256, 128, LATENT_SIZE)
_MAX_RAW: Final = 1e12
_MAX_SIGMAS: Final = 6.0
"""Scaled scalars are clipped here: a shopper beyond it is as unusual as the encoder can express."""


class Scaling(nn.Module):
    """Raw vectors float32 [n, 403] -> what the encoder sees, float32 [n, 403], always finite.

    Scalars: their transform (feature_store.vector.SCALARS), then zero mean and unit variance on the
    training rows. Embeddings: scaled so that the three together vary `embedding_weight` times as
    much as the 16 scalars together; unscaled, 384 columns would drown them. Masks: as they are.
    """

    mean: Tensor
    deviation: Tensor
    embedding_scale: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, embedding_scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("embedding_scale", embedding_scale)

    @classmethod
    def fit(cls, vectors: NDArray[np.float32], embedding_weight: float) -> Self:
        """Take mean and deviation of training rows float32 [n, 403]. A constant scalar stays unscaled."""
        scalars = _transform(torch.from_numpy(vectors[:, :N_SCALARS])).double()
        deviation = scalars.std(dim=0, correction=0)
        deviation[deviation < 1e-6] = 1.0
        variance = float(vectors[:, EMBEDDINGS].var(axis=0, dtype=np.float64).sum())
        scale = (embedding_weight * N_SCALARS / variance) ** 0.5 if variance > 1e-6 else 1.0
        return cls(scalars.mean(dim=0).float(), deviation.float(), torch.tensor(scale, dtype=torch.float32))

    def forward(self, vectors: Tensor) -> Tensor:
        """Scale raw vectors."""
        scalars = (_transform(vectors[:, :N_SCALARS]) - self.mean) / self.deviation
        return torch.cat(
            [
                scalars.clamp(-_MAX_SIGMAS, _MAX_SIGMAS),
                vectors[:, EMBEDDINGS].clamp(-1.0, 1.0) * self.embedding_scale,
                vectors[:, MASKS].clamp(0.0, 1.0),
            ],
            dim=1,
        )


def _transform(scalars: Tensor) -> Tensor:
    # One transform serves all 16 today; the assertion fails at import if the layout asks for another.
    return torch.log1p(scalars.clamp(0.0, _MAX_RAW))


assert all(scalar.transform == "log1p" for scalar in SCALARS)


class Losses(NamedTuple):
    """Loss terms of a batch, scalars: reconstruction by block, and commitment (not weighted)."""

    scalars: Tensor
    embeddings: Tensor
    masks: Tensor
    commitment: Tensor


class VQVAE(nn.Module):
    """Scaling, encoder, quantiser and decoder."""

    def __init__(self, scaling: Scaling, config: TrainConfig) -> None:
        super().__init__()
        self.scaling = scaling
        self.encoder = _mlp(WIDTHS)
        self.quantizer = EmaQuantizer(
            CODES,
            LATENT_SIZE,
            decay=config.ema_decay,
            revive_below=config.revive_below,
            seed=config.seed,
        )
        self.decoder = _mlp(WIDTHS[::-1])

    def latents(self, vectors: Tensor) -> Tensor:
        """Raw vectors float32 [n, 403] -> latents float32 [n, 96]."""
        latents: Tensor = self.encoder(self.scaling(vectors))
        return latents

    def forward(self, vectors: Tensor) -> Losses:
        """The loss terms of raw vectors float32 [n, 403]."""
        scaled = self.scaling(vectors)
        quantized, _, commitment = self.quantizer(self.encoder(scaled))
        return _losses(scaled, self.decoder(quantized), commitment)

    def autoencode(self, vectors: Tensor) -> Losses:
        """The loss terms without the quantiser: the latents go to the decoder as they are."""
        scaled = self.scaling(vectors)
        latents = self.encoder(scaled)
        return _losses(scaled, self.decoder(latents), latents.new_zeros(()))


def _mlp(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def _losses(scaled: Tensor, rebuilt: Tensor, commitment: Tensor) -> Losses:
    """Squared error per row divided by 16, so that blocks keep the weights that the scaling gave them;
    an embedding counts only where its set is not empty; masks are bits, so cross-entropy."""
    masks = scaled[:, MASKS]
    shape = (-1, len(PRODUCT_SETS), EMBEDDING_SIZE)
    errors = (rebuilt[:, EMBEDDINGS] - scaled[:, EMBEDDINGS]).reshape(shape).square().sum(dim=2)
    return Losses(
        scalars=F.mse_loss(rebuilt[:, :N_SCALARS], scaled[:, :N_SCALARS]),
        embeddings=(errors * masks).sum(dim=1).mean() / N_SCALARS,
        masks=F.binary_cross_entropy_with_logits(rebuilt[:, MASKS], masks, reduction="sum")
        / (len(scaled) * N_SCALARS),
        commitment=commitment,
    )
