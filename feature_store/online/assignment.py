"""An assignment: a persona said at a time. What goes on the topic and into the persona row."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Reason = Literal["code", "type", "confidence", "session_end", "swap"]

BANDS: Final = 5
"""Of equal width; band 0 is for no confidence."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of the topic persona-assignments (schema version 1).

    distance and margin are those of the encoder; events counts the buyer's events so far; event_time
    is that of the buyer's last event and assigned_at the wall clock, both ms UTC; partition and
    offset name the clickstream record after which this holds.
    """

    schema_version: Literal[1] = 1
    store: str
    buyer: str
    code: int
    token: str
    type: str | None
    confidence: float | None
    distance: float
    margin: float
    codebook_version: str
    events: int
    reason: Reason
    event_time: int
    assigned_at: int
    partition: int
    offset: int


encode_assignment = msgspec.json.Encoder().encode
decode_assignment = msgspec.json.Decoder(Assignment).decode


def token(code: int) -> str:
    """The persona token of a code, as the persona LLM's vocabulary spells it."""
    return f"<|persona_{code}|>"


def confidence_band(confidence: float) -> int:
    """0 where there is no confidence (NaN), else 1 to 5: an assignment is sent when the band changes."""
    return 0 if math.isnan(confidence) else 1 + min(int(confidence * BANDS), BANDS - 1)


def confidence_bands(confidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """confidence_band of each, uint8 [n]."""
    bands = 1 + np.minimum(np.nan_to_num(confidence).astype(np.float64) * BANDS, BANDS - 1).astype(np.uint8)
    return np.where(np.isnan(confidence), np.uint8(0), bands)
