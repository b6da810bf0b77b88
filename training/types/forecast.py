"""The forecast: which type a buyer will be at the end of the present session, with a calibrated probability.

256 codes hardly survive from a shopper's third event to the last, so the early answer is a type. It is read
from the scaled vector, not from the code: what a code leaves out is just what tells the next clicks. It is
trained when the types are made, on states as live traffic shows them (every buyer who came to 1, 2, 3, 5 ...
events, also those whose history is just that long) and the type at the end of that session. Its confidence is
calibrated on buyers that it was not trained on, by temperature (Guo et al. 2017, arXiv 1706.04599).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inference.bundles.catalogue import Catalogue
from training.encoder.config import TrainConfig
from training.encoder.dataset import POSITIONS, BuyerVectors
from training.encoder.model import VQVAE, Forecast
from training.evaluation.measures import calibration_error, kappa, once
from training.types.types import TypeGroups, group_codes

_BATCH: Final = 512
_LEARNING_RATE: Final = 1e-3
_WEIGHT_DECAY: Final = 1e-2


class Forecasting(NamedTuple):
    """The types of the codes, and how well the type at the end of a session is forecast.

    validation holds, for each position, rows, kappa, accuracy and calibration_error on validation buyers.
    """

    groups: TypeGroups
    temperature: float
    validation: dict[int, dict[str, float]]


def add_forecast(
    model: VQVAE,
    data: BuyerVectors,
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
    config: TrainConfig,
    previous: Catalogue | None = None,
) -> Forecasting:
    """Make types of the model's codes, named as in `previous` where they are the same, and give it a forecast
    head, trained and calibrated."""
    whole = training[data.whole[training]]
    device = model.quantizer.codebook.device
    groups = group_codes(
        data.vectors[whole],
        model.codes(data.vectors[whole]),
        np.array([data.buyers[buyer][0] for buyer in data.buyer[whole]]),
        model.quantizer.codebook.detach().cpu().numpy(),
        seed=config.seed,
        previous=previous,
    )

    def rows(chosen: NDArray[np.int64]) -> ForecastRows:
        end = groups.type_of_code[model.codes(data.vectors[data.session_end[chosen]])]
        with torch.no_grad():
            parts = torch.split(torch.from_numpy(data.vectors[chosen]), 8192)
            scaled = torch.cat([model.scaling(part.to(device)) for part in parts])
        return ForecastRows(scaled, torch.from_numpy(end).to(device))

    landmarks = np.sort(np.concatenate([data.landmark(events) for events in POSITIONS]))
    learn, judge = np.intersect1d(landmarks, training), np.intersect1d(landmarks, validation)
    held_out = rows(judge)
    model.forecast = fit_forecast(
        rows(learn),
        held_out,
        len(groups.types),
        epochs=config.forecast_epochs,
        dropout=config.forecast_dropout,
        seed=config.seed,
    )
    with torch.no_grad():
        probability = model.forecast(held_out.scaled).softmax(dim=1).double().cpu().numpy()
    return Forecasting(
        groups,
        float(model.forecast.temperature),
        _judge(data.vectors[judge, 0], probability, held_out.type.cpu().numpy()),
    )


class ForecastRows(NamedTuple):
    """Rows to learn or calibrate on: scaled float32 [n, W] and the type at session's end int64 [n]."""

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


def _judge(
    events: NDArray[np.float32], probability: NDArray[np.float64], target: NDArray[np.int64]
) -> dict[int, dict[str, float]]:
    forecast_type, confidence = probability.argmax(axis=1), probability.max(axis=1)
    judged: dict[int, dict[str, float]] = {}
    for count in np.unique(events).astype(int).tolist():
        at = events == count
        figures: dict[str, Any] = {
            "rows": int(at.sum()),
            "kappa": float(kappa(forecast_type[at], target[at], once(int(at.sum())))[0]),
            "accuracy": float((forecast_type[at] == target[at]).mean()),
            "calibration_error": calibration_error(confidence[at], forecast_type[at] == target[at]),
        }
        judged[count] = {name: round(value, 4) for name, value in figures.items()}
    return judged
