"""What is stated of a graph's probabilities. Applied by whatever serves, encodes, evaluates or verifies.

A forecast is learned on some stores. On another one it is no better than a guess, and may be worse than none:
there, no forecast and no confidence are stated until a calibration fitted on the store's own ended sessions
holds. Where one holds, it is what is stated, also of a store that was learned on. Type, code, distance and
margin are always stated: they say what holds now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.calibration import Calibration, Curve
from inference.calibration.platt import Platt
from inference.encoders.encoder import Encoding


def stated(
    encoding: Encoding,
    stores: Iterable[str],
    seen: Set[str],
    calibrations: Sequence[Calibration | None] | None = None,
) -> Encoding:
    """An encoding of n buyers as it may be said.

    stores: of each buyer, n of them. seen: those that the forecasts were learned on (Encoder.stores). For any
    other, confidence and forecast_probability are NaN and forecast is -1. calibrations: what holds for each
    buyer, in place of that (inference.calibration.in_force); None: for nobody.
    """
    n = len(encoding.code)
    is_seen = np.fromiter((store in seen for store in stores), np.bool_, n) if seen else np.zeros(n, np.bool_)
    if calibrations is None or not any(calibrations):
        return encoding if is_seen.all() else _stated(encoding, is_seen, is_seen)
    confidence, chance = encoding.confidence.copy(), encoding.forecast_probability.copy()
    has_confidence, has_forecast = is_seen.copy(), is_seen.copy()
    for one in {id(it): it for it in calibrations if it is not None}.values():
        mine = np.fromiter((it is one for it in calibrations), np.bool_, n)
        has_confidence[mine] = one.holds and one.confidence is not None
        has_forecast[mine] = one.holds and one.forecast is not None
        _apply(one.confidence, confidence, mine)
        _apply(one.forecast, chance, mine)
    return _stated(
        encoding._replace(confidence=confidence, forecast_probability=chance), has_confidence, has_forecast
    )


def _apply(curve: Curve | None, p: NDArray[np.float32], at: NDArray[np.bool_]) -> None:
    if curve is not None:
        p[at] = Platt(curve.a, curve.b).apply(p[at].astype(np.float64)).astype(np.float32)


def _stated(encoding: Encoding, confidence: NDArray[np.bool_], forecast: NDArray[np.bool_]) -> Encoding:
    nothing = np.float32(np.nan)
    return encoding._replace(
        confidence=np.where(confidence, encoding.confidence, nothing),
        forecast=np.where(forecast, encoding.forecast, -1),
        forecast_probability=np.where(forecast, encoding.forecast_probability, nothing),
    )
