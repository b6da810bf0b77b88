"""What a bundle says of its own codes: catalogue.json, reference.json (for drift), evaluation.json."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from feature_store.vector import N_SCALARS, SCALARS
from inference.assignment import token
from training.dataset import BuyerVectors
from training.export import Parity
from training.forecasting import Forecasting
from training.train import Trained

QUANTILES: Final = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


def perplexity(shares: NDArray[np.float64]) -> float:
    """exp of the entropy of code shares (float64 [codes], summing to 1): how many codes it is like."""
    used = shares[shares > 0]
    return float(np.exp(-(used * np.log(used)).sum()))


def code_shares(codes: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Share of each code, float64 [size]."""
    return np.bincount(codes, minlength=size) / len(codes)


def catalogue(shares: NDArray[np.float64], forecasting: Forecasting | None) -> dict[str, Any]:
    """The codes with their share of the training buyers and their type; the types, if any were made."""
    types = forecasting.groups.types if forecasting else ()
    name = {code: kind.name for kind in types for code in kind.codes}
    return {
        "codes": [
            {"code": code, "token": token(code), "type": name.get(code), "share": round(share, 6)}
            for code, share in enumerate(shares.tolist())
        ],
        "types": msgspec.to_builtins(types),
        "scale": msgspec.to_builtins(forecasting.groups.scale) if forecasting else None,
    }


def reference(
    data: BuyerVectors, shares: NDArray[np.float64], distance: NDArray[np.float32]
) -> dict[str, Any]:
    """What live traffic is compared with: p(k), distances and raw scalars of the buyers' whole histories."""
    scalars = data.vectors[data.whole, :N_SCALARS]
    return {
        "buyers": int(data.whole.sum()),
        "code_shares": [round(share, 6) for share in shares.tolist()],
        "quantiles": list(QUANTILES),
        "distance": _quantiles(distance),
        "scalars": {scalar.name: _quantiles(scalars[:, i]) for i, scalar in enumerate(SCALARS)},
    }


def _quantiles(values: NDArray[np.float32]) -> list[float]:
    return [float(f"{value:.6g}") for value in np.quantile(values.astype(np.float64), QUANTILES)]


def evaluation(
    trained: Trained, data: BuyerVectors, shares: NDArray[np.float64], parity: Parity
) -> dict[str, Any]:
    """How the training went and what came of it; perplexity is over the buyers' whole histories."""
    return {
        "config": trained.config.model_dump(mode="json"),
        "buyers": len(data.buyers),
        "stores": len({store for store, _ in data.buyers}),
        "rows": len(data.vectors),
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
        "types": forecasting.groups.choice,
        "temperature": forecasting.temperature,
        "validation_by_events": forecasting.validation,
    }
