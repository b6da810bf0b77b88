"""An assignment: a buyer's persona at a time. On the topic as JSON, and in a persona row after its offset.

    00000000000000000412{"schema_version":1,"store":...}    a persona row: offset, then the assignment

This struct is the row's only declaration: API, Feast's view and workers read it, or parts made of it.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Reason = Literal["code", "type", "forecast", "confidence", "session_end", "swap"]

OFFSET_DIGITS: Final = 20
"""A persona row begins with its offset in so many digits, so that the fence's script compares strings."""
BANDS: Final = 5
"""Of equal width; band 0 is for no confidence."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of the topic persona-assignments (schema version 1).

    type is what holds now, and confidence the probability that it still does at the end of the session.
    forecast is the type that is most likely then. Where nothing is stated, they are None: no type in the
    bundle, or a shop that its forecasts were not learned on. distance and margin are those of the encoder;
    events counts the buyer's events so far; event_time is that of the buyer's last event and assigned_at the
    wall clock, both ms UTC; partition and offset name the clickstream record after which this holds.
    """

    schema_version: Literal[1] = 1
    store: str
    buyer: str
    code: int
    token: str
    type: str | None
    confidence: float | None
    forecast: str | None = None
    forecast_probability: float | None = None
    distance: float
    margin: float
    codebook_version: str
    events: int
    reason: Reason
    event_time: int
    assigned_at: int
    partition: int
    offset: int


def is_of_an_earlier_release(body: bytes) -> bool:
    """Whether an assignment as JSON is of a release that knew no forecast apart: its type was the
    forecast."""
    return b'"forecast":' not in body


def read_assignment(body: bytes) -> Assignment:
    """An assignment as JSON, to be shown: of an earlier release, its type is told as the forecast that it
    was.

    Raises:
        msgspec.MsgspecError: it is not an assignment.
    """
    found = decode_assignment(body)
    if not is_of_an_earlier_release(body):
        return found
    forecast, probability = found.type, found.confidence
    return msgspec.structs.replace(
        found, type=None, confidence=None, forecast=forecast, forecast_probability=probability
    )


encode_assignment = msgspec.json.Encoder().encode
decode_assignment = msgspec.json.Decoder(Assignment).decode
_Version = msgspec.defstruct(
    "_Version", [(f.name, f.type) for f in msgspec.structs.fields(Assignment) if f.name == "codebook_version"]
)
_decode_version = msgspec.json.Decoder(_Version).decode


def codebook_version_of(body: bytes) -> str:
    """The codebook version of an assignment as JSON, without reading the rest.

    Raises:
        msgspec.MsgspecError: it is not an assignment.
    """
    version: str = _decode_version(body).codebook_version  # type: ignore[attr-defined]
    return version


def version_mark(codebook_version: str) -> bytes:
    """Bytes that an assignment as JSON holds if it is of this version; those of others do not."""
    return b'"codebook_version":' + msgspec.json.encode(codebook_version)


def pack_persona(offset: int, body: bytes) -> bytes:
    """A persona row: the offset after which an assignment holds, and the assignment as JSON."""
    return b"%0*d" % (OFFSET_DIGITS, offset) + body


def persona_body(row: bytes) -> bytes:
    """The assignment of a persona row, as JSON."""
    return row[OFFSET_DIGITS:]


def token(code: int) -> str:
    """The persona token of a code, as the persona LLM's vocabulary spells it."""
    return f"<|persona_{code}|>"


def confidence_band(confidence: float) -> int:
    """Of a probability: 0 where there is none (NaN), else 1 to 5. An assignment is sent when it changes."""
    return 0 if math.isnan(confidence) else 1 + min(int(confidence * BANDS), BANDS - 1)


def confidence_bands(confidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """confidence_band of each, uint8 [n]."""
    bands = 1 + np.minimum(np.nan_to_num(confidence).astype(np.float64) * BANDS, BANDS - 1).astype(np.uint8)
    return np.where(np.isnan(confidence), np.uint8(0), bands)
