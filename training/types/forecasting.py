"""Types for a trained encoder: group its codes, then train and judge the forecast of a session's end."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from inference.bundles.catalogue import Catalogue
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors
from training.encoder.model import VQVAE
from training.evaluation.measures import calibration_error, kappa, once
from training.types.forecast import ForecastRows, fit_forecast
from training.types.types import TypeGroups, group_codes


class Forecasting(NamedTuple):
    """The types of the codes, and how well the type at the end of a session is forecast.

    validation holds, for each prefix, rows, kappa, accuracy and calibration_error on validation buyers.
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

    landmarks = np.sort(np.concatenate([data.landmark(events) for events in config.prefixes]))
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


def _judge(
    events: NDArray[np.float32], probability: NDArray[np.float64], target: NDArray[np.int64]
) -> dict[int, dict[str, float]]:
    said, confidence = probability.argmax(axis=1), probability.max(axis=1)
    judged: dict[int, dict[str, float]] = {}
    for count in np.unique(events).astype(int).tolist():
        at = events == count
        figures: dict[str, Any] = {
            "rows": int(at.sum()),
            "kappa": float(kappa(said[at], target[at], once(int(at.sum())))[0]),
            "accuracy": float((said[at] == target[at]).mean()),
            "calibration_error": calibration_error(confidence[at], said[at] == target[at]),
        }
        judged[count] = {name: round(value, 4) for name, value in figures.items()}
    return judged
