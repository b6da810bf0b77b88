"""What a bundle says of its own training: evaluation.json."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.encoder.dataset import BuyerVectors
from training.encoder.train import Trained
from training.publishing.export import Parity
from training.publishing.manifest import describe_data
from training.types.forecast import Forecasting


def perplexity(shares: NDArray[np.float64]) -> float:
    """exp of the entropy of code shares (float64 [codes], summing to 1): how many codes it is like."""
    used = shares[shares > 0]
    return float(np.exp(-(used * np.log(used)).sum()))


def code_shares(codes: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Share of each code, float64 [size]."""
    return np.bincount(codes, minlength=size) / len(codes)


def evaluation(
    trained: Trained, data: BuyerVectors, shares: NDArray[np.float64], parity: Parity
) -> dict[str, Any]:
    """How the training went and what came of it; perplexity is over the buyers' whole histories."""
    return {
        "config": trained.config.model_dump(mode="json"),
        "data": describe_data(data),
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch,
        "seconds": round(trained.seconds, 1),
        "validation_losses": trained.validation_losses,
        "codes_used": int((shares > 0).sum()),
        "perplexity": round(perplexity(shares), 1),
        "forecast": _forecast(trained.forecasting),
        "parity": parity._asdict(),
    }


def _forecast(forecasting: Forecasting | None) -> dict[str, Any] | None:
    if forecasting is None:
        return None
    return {
        "types": forecasting.groups.described(),
        "temperature": forecasting.temperature,
        "validation_by_events": forecasting.validation,
    }
