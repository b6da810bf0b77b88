"""When a persona is sent: on a change that a reader can use, against what was sent last.

An event leads to an assignment where it is the buyer's first, the codebook version is another, the type or
the forecast changed, or one of the two probabilities crossed into another band. A code that changed alone is
sent at events 1, 2, 3, 5, 8, 13, 21, ... of the session: a code says more and more slowly who somebody is.
What was sent last is kept in the buyer's row, so what is sent depends on the buyer's events alone, not on
batches, caches and restarts (docs/adr/0056).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.kernel import kernel
from feature_store.online.assignment import Reason, confidence_bands

SENT: Final = ("code", "type", "band", "forecast", "forecast_band")
"""The columns of what is sent; type and forecast are indices, -1 for none, and band 0 is for no
probability."""
NOTHING_SENT: Final = (-1, -1, 0, -1, 0)
REASONS: Final[tuple[Reason | None, ...]] = (None, "swap", "type", "code", "forecast", "confidence")
"""Of several changes, the first of these is the reason. A first assignment is for the code."""

_SWAP: Final = REASONS.index("swap")
_TYPE: Final = REASONS.index("type")
_CODE: Final = REASONS.index("code")
_FORECAST: Final = REASONS.index("forecast")
_CONFIDENCE: Final = REASONS.index("confidence")

Sent = NDArray[np.int16]
"""int16 [n, 5], columns SENT."""


def as_sent(
    code: NDArray[np.int64],
    kind: NDArray[np.int64],
    confidence: NDArray[np.float32],
    forecast: NDArray[np.int64],
    forecast_probability: NDArray[np.float32],
) -> Sent:
    """Personas, each column [n], as they are compared with what was sent; NaN for no probability."""
    bands = confidence_bands(confidence), confidence_bands(forecast_probability)
    return np.column_stack([code, kind, bands[0], forecast, bands[1]]).astype(np.int16)


class Changes(NamedTuple):
    """For each of k events: why its persona is to be sent, and what is sent last after it."""

    reasons: NDArray[np.uint8]
    """[k], an index into REASONS; 0: nothing is sent."""
    sent: Sent
    """[k, 5]."""


def changes(
    slots: NDArray[np.int64],
    now: Sent,
    session_events: NDArray[np.int64],
    sent: Sent,
    versions: NDArray[np.uint32],
    version: np.uint32,
) -> Changes:
    """What k events in order, of the buyers `slots` int64 [k], lead to.

    now: int16 [k, 5], what holds after each; session_events: int64 [k], the number of the event in its
    session. sent, int16 [all slots, 5], and versions, uint32 [all slots], are what was sent last and under
    which codebook version; both are brought up to date in place, to `version`.
    """
    found = Changes(np.zeros(len(slots), np.uint8), np.empty((len(slots), len(SENT)), np.int16))
    _changes(slots, now, session_events, sent, versions, np.uint32(version), *found)
    return found


@kernel
def _changes(
    slots: NDArray[np.int64],
    now: Sent,
    session_events: NDArray[np.int64],
    sent: Sent,
    versions: NDArray[np.uint32],
    version: np.uint32,
    reasons: NDArray[np.uint8],
    after: Sent,
) -> None:
    for i in range(len(slots)):
        slot = slots[i]
        reason = _reason(now[i], sent[slot], session_events[i])
        if sent[slot, 0] >= 0 and versions[slot] != version:
            reason = _SWAP
        versions[slot] = version
        if reason > 0:
            sent[slot] = now[i]
        reasons[i] = reason
        after[i] = sent[slot]


@kernel
def _reason(now: NDArray[np.int16], sent: NDArray[np.int16], session_events: int) -> int:
    if sent[0] < 0:
        return _CODE
    if now[1] != sent[1]:
        return _TYPE
    if now[0] != sent[0] and _is_telling(session_events):
        return _CODE
    if now[3] != sent[3]:
        return _FORECAST
    if now[2] != sent[2] or now[4] != sent[4]:
        return _CONFIDENCE
    return 0


def reason_of(now: NDArray[np.int16], sent: NDArray[np.int16], session_events: int) -> int:
    """Why one persona, int16 [5], is sent where another one, int16 [5], was sent last: an index into
    REASONS."""
    found: int = _reason(now, sent, session_events)
    return found


@kernel
def _is_telling(session_events: int) -> bool:
    """Whether a code that changed alone is sent at this event of a session: 1, 2, 3, 5, 8, ..."""
    before, number = 1, 1
    while number < session_events:
        before, number = number, before + number
    return number == session_events
