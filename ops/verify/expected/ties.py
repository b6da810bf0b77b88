"""When an answer that differs is none the worse: two codes, types or bands that are equally near.

Runtimes sum float32 in different orders: another batch size, another instruction set, a GPU. Sums differ
by about 1e-6 of their size. Where the nearest and the second nearest code are that close, either is right.
The worker's own figures must say the same: an assignment is a tie only if its distance and confidence are
those computed here, within these tolerances.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.online.assignment import BANDS
from inference.encoders.encoder import Encoding
from ops.verify.expected.assigned import Word

TIE: Final = 1e-4
"""Two codes tie where the second nearest is no farther than this share of the distance (and 1): the same
tolerance as an export's (training.publishing.export)."""
CONFIDENCE_TIE: Final = 1e-3
"""How far the confidence of two runtimes may be apart: the same as an export's."""


class Answer(NamedTuple):
    """What the encoder says of one state here; type by name, NaN for no confidence."""

    code: int
    type: str | None
    band: int
    confidence: float
    distance: float
    margin: float


def near(encoding: Encoding) -> NDArray[np.bool_]:
    """bool [n]: whether another runtime may give another code, type or band."""
    return near_code(encoding) | near_band(encoding.confidence) | near_type(encoding.confidence)


def near_code(encoding: Encoding) -> NDArray[np.bool_]:
    """bool [n]: whether the two nearest codes tie."""
    return np.asarray(encoding.margin <= TIE * np.maximum(encoding.distance, 1))


def near_type(confidence: NDArray[np.float32]) -> NDArray[np.bool_]:
    """bool [n]: whether two types may be equally likely: then neither is likelier than a half."""
    return np.asarray(confidence <= 0.5 + CONFIDENCE_TIE)  # NaN: no


def near_band(confidence: NDArray[np.float32]) -> NDArray[np.bool_]:
    """bool [n]: whether the confidence lies on the border of two bands."""
    scaled = confidence.astype(np.float64) * BANDS
    return np.asarray(np.abs(scaled - np.rint(scaled)) <= CONFIDENCE_TIE * BANDS)


def is_tie(word: Word, here: Answer) -> bool:
    """Whether a word that is not the answer here is as right as it."""
    if not _close(word.distance, here.distance):
        return False
    if word.code != here.code:
        return has_tied_code(here) and word.margin <= TIE * max(here.distance, 1)
    if (word.confidence is None) != np.isnan(here.confidence):
        return False
    if word.confidence is None:
        return word.type == here.type
    if abs(word.confidence - here.confidence) > CONFIDENCE_TIE:
        return False
    return word.type == here.type or here.confidence <= 0.5 + CONFIDENCE_TIE


def has_tied_code(here: Answer) -> bool:
    """Whether the two codes nearest to this state tie."""
    return here.margin <= TIE * max(here.distance, 1)


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= TIE * max(abs(b), 1)
