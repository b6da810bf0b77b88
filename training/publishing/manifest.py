"""What an encoder was trained on, in figures: written into evaluation.json as "data"."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import N_SCALARS, SCALARS
from training.encoder.dataset import EVENTS_COLUMN, POSITIONS, SESSIONS_COLUMN, BuyerVectors

_NAMES: Final = [scalar.name for scalar in SCALARS]
FUNNEL: Final = {
    "viewed": "product_views",
    "carted": "carts",
    "began_checkout": "checkouts",
    "purchased": "purchases",
}
"""Step of the funnel -> the scalar that counts it."""


def describe_data(data: BuyerVectors) -> dict[str, Any]:
    """Counts and base rates, ready for JSON.

    rows: of whole histories, and of earlier states; after: how many buyers came so far, for each position.
    stores: for each its buyers, events (duplicates left out), sessions, and of its buyers the share that ever
    did each step of the funnel.
    """
    scalars = np.array(data.vectors[: len(data.buyers), :N_SCALARS])
    numbers: dict[str, int] = {}
    store = np.array([numbers.setdefault(name, len(numbers)) for name, _ in data.buyers], dtype=np.int64)
    return {
        **_totals(scalars),
        "rows": {"whole": len(data.buyers), "earlier": len(data.vectors) - len(data.buyers)},
        "after": {str(n): len(data.landmark(n)) for n in POSITIONS},
        "stores": {
            name: _totals(scalars[store == number]) | {"funnel": _funnel(scalars[store == number])}
            for name, number in sorted(numbers.items())
        },
    }


def _totals(scalars: NDArray[np.float32]) -> dict[str, int]:
    return {
        "buyers": len(scalars),
        "events": int(scalars[:, EVENTS_COLUMN].sum(dtype=np.float64)),
        "sessions": int(scalars[:, SESSIONS_COLUMN].sum(dtype=np.float64)),
    }


def _funnel(scalars: NDArray[np.float32]) -> dict[str, float]:
    did = {step: scalars[:, _NAMES.index(name)] > 0 for step, name in FUNNEL.items()}
    return {step: round(float(who.mean()), 6) for step, who in did.items()}
