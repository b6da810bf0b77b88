"""What is stated of a graph's probabilities. Applied by whatever serves, encodes, evaluates or verifies.

A forecast is learned on some stores. On another one it is no better than a guess, and may be worse than none:
there, no forecast and no confidence are stated. Type, code, distance and margin are: they say what holds now.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

import numpy as np

from inference.encoders.encoder import Encoding


def stated(encoding: Encoding, stores: Iterable[str], seen: Set[str]) -> Encoding:
    """An encoding of n buyers as it may be said.

    stores: of each buyer, n of them. seen: those that the forecasts were learned on (Encoder.stores). For any
    other, confidence and forecast_probability are NaN and forecast is -1.
    """
    n = len(encoding.code)
    is_seen = np.fromiter((store in seen for store in stores), np.bool_, n) if seen else np.zeros(n, np.bool_)
    if is_seen.all():
        return encoding
    nothing = np.float32(np.nan)
    return encoding._replace(
        confidence=np.where(is_seen, encoding.confidence, nothing),
        forecast=np.where(is_seen, encoding.forecast, -1),
        forecast_probability=np.where(is_seen, encoding.forecast_probability, nothing),
    )
