"""When an answer that differs is none the worse: two codes, forecasts or bands that are equally near.

Runtimes sum float32 in different orders: another batch size, another instruction set, a GPU. Sums differ
by about 1e-6 of their size. Where the nearest and the second nearest code are that close, either is right.
The worker's own figures must say the same: an assignment is a tie only if its distance and confidence are
those computed here, within these tolerances.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.online.assignment import BANDS
from inference.encoders.encoder import Encoding
from ops.verify.expected.assigned import Word

TIE: Final = 1e-4
"""Two codes tie where the second nearest is no farther than this share of the distance (and 1): the same
tolerance as an export's (training.publishing.export)."""
CHANCE_TIE: Final = 1e-3
"""How far the probabilities of two runtimes may be apart: the same as an export's."""


class Answer(NamedTuple):
    """What the encoder says of one state here; types by name, NaN for no probability."""

    code: int
    type: str | None
    confidence: float
    forecast: str | None
    forecast_probability: float
    distance: float
    margin: float


def fuzzy(encoding: Encoding) -> NDArray[np.bool_]:
    """bool [n, 5]: which columns of feature_store.online.changes.SENT another runtime may find otherwise."""
    code = near_code(encoding)  # and with another code, another type and the confidence in it
    confidence = code | near_band(encoding.confidence)
    forecast = near_forecast(encoding.forecast_probability)
    return np.column_stack([code, code, confidence, forecast, near_band(encoding.forecast_probability)])


def near_code(encoding: Encoding) -> NDArray[np.bool_]:
    """bool [n]: whether the two nearest codes tie."""
    return np.asarray(encoding.margin <= TIE * np.maximum(encoding.distance, 1))


def near_forecast(probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """bool [n]: whether two forecasts may be equally likely: then neither is likelier than a half."""
    return np.asarray(probability <= 0.5 + CHANCE_TIE)  # NaN: no


def near_band(chance: NDArray[np.float32]) -> NDArray[np.bool_]:
    """bool [n]: whether a probability lies on the border of two bands; beyond 0 and 1 there is none."""
    scaled = chance.astype(np.float64) * BANDS
    border = np.rint(scaled)
    is_near = np.abs(scaled - border) <= CHANCE_TIE * BANDS
    return np.asarray(is_near & (border > 0) & (border < BANDS))


def is_tie(word: Word, here: Answer) -> bool:
    """Whether a word that is not the answer here is as right as it."""
    if not _close(word.distance, here.distance):
        return False
    if word.code != here.code:
        return has_tied_code(here) and word.margin <= TIE * max(here.distance, 1)
    if word.is_earlier:
        return True  # its type was a forecast by another rule
    if word.type != here.type or not _same_chance(word.confidence, here.confidence):
        return False
    if not _same_chance(word.forecast_probability, here.forecast_probability):
        return False
    return word.forecast == here.forecast or here.forecast_probability <= 0.5 + CHANCE_TIE


def has_tied_code(here: Answer) -> bool:
    """Whether the two codes nearest to this state tie."""
    return here.margin <= TIE * max(here.distance, 1)


def _same_chance(sent: float | None, here: float) -> bool:
    if sent is None:
        return math.isnan(here)
    return abs(sent - here) <= CHANCE_TIE  # NaN: no


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= TIE * max(abs(b), 1)
