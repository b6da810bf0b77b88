"""The forecast: which type a buyer will be at the end of the present session, with a calibrated probability.

256 codes hardly survive from a shopper's third event to the last, so the early answer is a type. It is read
from the scaled vector, not from the code: what a code leaves out is just what tells the next clicks. It is
trained when the types are made, on states as live traffic shows them (every buyer who came to 1, 2, 3, 5 ...
events, also those whose history is just that long) and the type at the end of that session. Its confidence is
calibrated on buyers that it was not trained on, by temperature (Guo et al. 2017, arXiv 1706.04599).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from feature_store.fold.vector import VECTOR_SIZE

_HIDDEN: Final = 128
_BATCH: Final = 512
_LEARNING_RATE: Final = 1e-3
_WEIGHT_DECAY: Final = 1e-2


class Forecast(nn.Module):
    """Scaled vectors float32 [n, 403] -> calibrated log odds float32 [n, types]."""

    temperature: Tensor

    def __init__(self, types: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(VECTOR_SIZE, _HIDDEN),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, types),
        )
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, scaled: Tensor) -> Tensor:
        """Log odds; their softmax is the probability of each type."""
        logits: Tensor = self.net(scaled)
        return logits / self.temperature


class ForecastRows(NamedTuple):
    """Rows to learn or calibrate on: scaled float32 [n, 403] and the type at session's end int64 [n]."""

    scaled: Tensor
    type: Tensor


def fit_forecast(
    training: ForecastRows, validation: ForecastRows, types: int, *, epochs: int, dropout: float, seed: int
) -> Forecast:
    """Train on some buyers, keep the best epoch on others, calibrate on those. In eval mode."""
    torch.manual_seed(seed)
    forecast = Forecast(types, dropout).to(training.scaled.device)
    optimiser = torch.optim.AdamW(forecast.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    steps = epochs * (-(-len(training.type) // _BATCH))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best, kept = float("inf"), {}
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(training.type))
        forecast.train()
        for rows in torch.split(torch.from_numpy(order).to(training.type.device), _BATCH):
            loss = F.cross_entropy(forecast(training.scaled[rows]), training.type[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        forecast.eval()
        with torch.no_grad():
            loss = F.cross_entropy(forecast(validation.scaled), validation.type)
        if float(loss) < best:
            best = float(loss)
            kept = {name: value.clone() for name, value in forecast.state_dict().items()}
    forecast.load_state_dict(kept)
    with torch.no_grad():
        forecast.temperature.copy_(_temperature(forecast(validation.scaled), validation.type))
    return forecast


def _temperature(logits: Tensor, target: Tensor) -> Tensor:
    """The one that gives the least cross-entropy; on a fine grid, as it is a curve with one valley."""
    grid = torch.logspace(-1, 1, 201, base=4.0, device=logits.device)
    losses = torch.stack([F.cross_entropy(logits / temperature, target) for temperature in grid])
    return grid[losses.argmin()]
