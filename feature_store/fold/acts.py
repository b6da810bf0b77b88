"""What a state keeps of the present session, and of the last acts with their times.

An act is a thing that a shopper does: an event of one of the twelve types; of an order in several events, the
first. A session's counts begin anew with the session. The last acts are the sixteen greatest values of
`time in ms * 32 + 1 + type`, so they are a function of the set of acts, in whatever order they arrived, and
those of two states together are the sixteen greatest of both.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import EVENT_TYPES
from feature_store.fold.kernel import kernel
from feature_store.fold.vector import LATEST_ACTS

LATEST: Final = LATEST_ACTS
"""How many acts are kept."""
KIND_BITS: Final = 5
_KIND: Final = (1 << KIND_BITS) - 1
N_KINDS: Final = len(EVENT_TYPES)
SESSION_COUNTERS: Final = ("session_start", "away_ms", *(f"session_{name}" for name in EVENT_TYPES))
"""Counters of a state: when the present session began (ms; 0: not known), how long the buyer had been away
before (ms; 0 in the first session), and its acts by type."""
START: Final = 0
AWAY: Final = 1
KINDS: Final = 2
"""Places in SESSION_COUNTERS."""

assert N_KINDS < _KIND, "an act's type has its place in five bits"


@kernel
def open_session(session: NDArray[np.int64], time: int, away: int) -> None:
    """Begin a session's counts with an act at `time`, after so long away (ms)."""
    session[:] = 0
    session[START] = time
    session[AWAY] = away


@kernel
def count_act(session: NDArray[np.int64], kind: int, time: int, gap_ms: int) -> None:
    """Count an act in the present session, if it lies in it.

    What arrives late lies in it from `gap_ms` before its start on, and is its start then.
    """
    start = session[START]
    if start == 0:  # a state from before there were counts of sessions
        session[START] = time
    elif time < start:
        if time < start - gap_ms:
            return
        session[START] = time
        session[AWAY] = max(session[AWAY] - (start - time), 0)
    session[KINDS + kind] += 1


@kernel
def note_act(latest: NDArray[np.int64], kind: int, time: int) -> None:
    """Keep an act among the last ones, latest [16] descending, if it is one of them."""
    act = (time << KIND_BITS) + kind + 1
    place = LATEST - 1
    if act <= latest[place]:
        return
    while place > 0 and latest[place - 1] < act:
        latest[place] = latest[place - 1]
        place -= 1
    latest[place] = act


@kernel
def held(latest: NDArray[np.int64]) -> int:
    """How many acts are kept."""
    count = 0
    for i in range(LATEST):
        if latest[i] != 0:
            count += 1
    return count


@kernel
def write_acts(latest: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    """The last acts as numbers, newest first: out [32] gets 16 kinds (1 + type, 0: none), then 16 gaps, s
    between an act and the one before it (0 where there is none). out holds zeros."""
    for i in range(LATEST):
        act = latest[i]
        if act == 0:
            return
        out[i] = act & _KIND
        if i + 1 < LATEST and latest[i + 1] != 0:
            out[LATEST + i] = ((act >> KIND_BITS) - (latest[i + 1] >> KIND_BITS)) / 1000.0
