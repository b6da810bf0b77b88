"""What an encoder gave every row of the points that it is judged on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Coded(NamedTuple):
    """Codes, types and confidences of n rows, in the order of the points."""

    codes: NDArray[np.int64]
    """[n]."""
    type: NDArray[np.int64]
    """[n], forecast for the end of the session; -1 where there is none."""
    confidence: NDArray[np.float64]
    """[n], the probability of `type`; NaN where there is none."""
    type_of_code: NDArray[np.int64]
    """[256]; -1: no types."""
    sketched: NDArray[np.int64]
    """[buyers]: codes of whole histories after a held-out store was scaled by a sketch of its lent buyers (-1
    for all others)."""
    about: dict[str, Any]
    """Seconds and epochs of the training."""
