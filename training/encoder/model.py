"""The VQ-VAE that is trained for what comes: raw buyer vector -> inputs -> latent -> code of the fact cell.

The codes and the latent they come from are taught what comes (outcomes.py, teachers.py) and to rebuild the
numbers, lightly. Each store has its own base rate of each outcome, so that no code is spent on saying which
store this is.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from feature_store.fold.funnel import FACT_CELLS
from inference.encoders.graph import CODES, LATENT_SIZE
from training.encoder.config import TrainConfig
from training.encoder.facts import cells_of
from training.encoder.outcomes import OUTCOMES
from training.encoder.quantizers.moving_averages import EmaQuantizer
from training.encoder.scaling import INPUTS, NUMBERS, Scaling

WIDTHS: Final = (INPUTS, 256, 128, LATENT_SIZE)
_DECODER: Final = (LATENT_SIZE, 128, NUMBERS)
_FORECAST_WIDTH: Final = 128
_ROWS: Final = 8192


class Batch(NamedTuple):
    """What a step sees of n rows: vectors float32 [n, W] raw; store int64 [n]; chance float32 [n, 8] of each
    outcome; weight float32 [n, 8], 0 where it is not known."""

    vectors: Tensor
    store: Tensor
    chance: Tensor
    weight: Tensor


class Losses(NamedTuple):
    """Loss terms of a batch, scalars, not weighted."""

    outcomes: Tensor
    latent_outcomes: Tensor
    rebuilding: Tensor
    commitment: Tensor

    def total(self, config: TrainConfig) -> Tensor:
        """What is minimised."""
        taught = config.outcomes_weight * (self.outcomes + self.latent_outcomes)
        return taught + config.rebuilding_weight * self.rebuilding + config.commitment * self.commitment


class VQVAE(nn.Module):
    """Scaling, encoder, quantiser, decoder, heads; and, once there are types, the forecast."""

    def __init__(self, scaling: Scaling, stores: int, config: TrainConfig) -> None:
        super().__init__()
        self.scaling = scaling
        self.encoder = nn.Sequential(mlp(WIDTHS), nn.LayerNorm(LATENT_SIZE, elementwise_affine=False))
        self.quantizer = EmaQuantizer(
            CODES,
            LATENT_SIZE,
            FACT_CELLS,
            decay=config.ema_decay,
            revive_below=config.revive_below,
            seed=config.seed,
        )
        self.decoder = mlp(_DECODER)
        self.foresees = nn.Linear(LATENT_SIZE, len(OUTCOMES), bias=False)
        self.store_rates = nn.Embedding(stores, len(OUTCOMES))
        nn.init.zeros_(self.store_rates.weight)
        self.forecast: Forecast | None = None

    def latents(self, vectors: Tensor) -> Tensor:
        """Raw vectors float32 [n, W] -> latents float32 [n, 96]."""
        latents: Tensor = self.encoder(self.scaling(vectors))
        return latents

    @torch.no_grad()
    def all_latents(self, vectors: NDArray[np.float32]) -> Tensor:
        """Latents float32 [n, 96] of raw vectors float32 [n, W]; any n."""
        device = self.quantizer.codebook.device
        parts = torch.split(torch.from_numpy(vectors), _ROWS)
        return torch.cat([self.latents(part.to(device)) for part in parts])

    @torch.no_grad()
    def codes(self, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        """Codes int64 [n] of raw vectors float32 [n, W]; any n."""
        device = self.quantizer.codebook.device
        codes = [
            self.quantizer.nearest(self.latents(part), cells_of(part)).cpu()
            for part in (rows.to(device) for rows in torch.split(torch.from_numpy(vectors), _ROWS))
        ]
        return torch.cat(codes).numpy() if len(vectors) else np.empty(0, np.int64)

    def forward(self, batch: Batch, *, quantize: bool = True) -> Losses:
        """The loss terms; without the quantiser (warm-up) the latents go on as they are."""
        inputs = self.scaling(batch.vectors)
        latents = self.encoder(inputs)
        read, commitment = latents, latents.new_zeros(())
        if quantize:
            read, _, commitment = self.quantizer(latents, cells_of(batch.vectors))
        rates = self.store_rates(batch.store)
        return Losses(
            _taught(self.foresees(read) + rates, batch),
            _taught(self.foresees(latents) + rates, batch),
            F.mse_loss(self.decoder(read), inputs[:, :NUMBERS]),
            commitment,
        )


class Forecast(nn.Module):
    """The forecast head: latents float32 [n, 96] and cells int64 [n] -> calibrated log odds [n, types].

    Types that the buyer cannot have at the end of the session, since facts do not go back, get none.
    training/types/forecast.py trains it once there are types.
    """

    temperature: Tensor
    closed: Tensor

    def __init__(self, reachable: NDArray[np.bool_]) -> None:
        """reachable bool [cells, types]."""
        super().__init__()
        self.net = mlp((LATENT_SIZE, _FORECAST_WIDTH, reachable.shape[1]))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("closed", torch.from_numpy(np.where(reachable, 0.0, _CLOSED)).float())

    def forward(self, latents: Tensor, cells: Tensor) -> Tensor:
        """Log odds; their softmax is the probability of each type."""
        logits: Tensor = self.net(latents)
        return logits / self.temperature + self.closed[cells]


_CLOSED: Final = -1e4


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these widths with GELU between them."""
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def _taught(odds: Tensor, batch: Batch) -> Tensor:
    losses = F.binary_cross_entropy_with_logits(odds, batch.chance, reduction="none")
    return (losses * batch.weight).sum() / losses.numel()
