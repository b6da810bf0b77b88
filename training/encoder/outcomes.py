"""What came after a row: in the rest of its session, in the next one, and whether the buyer returned.

Everything is told by rows of the same buyer (dataset.BuyerVectors): counts at the end of the session, or of
the next one, against counts in the row. Who has already done something cannot still do it for the first time,
and what lies beyond a store's history is not known, so each outcome says of which rows it is known.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.behavior import SESSION_GAP_MS
from feature_store.fold.vector import N_SCALARS, SCALARS
from training.encoder.dataset import EVENTS_COLUMN, SESSIONS_COLUMN, BuyerVectors

RETURN_MS: Final = 14 * 24 * 3_600_000
IN_SESSION: Final = ("cart", "checkout", "purchase", "leaves_1", "leaves_3")
"""A cart, a checkout, a purchase later in the session; the session ends before 1 or 3 more events."""
AFTER_SESSION: Final = ("next_cart", "next_purchase", "returns")
"""A cart or a purchase in the next session; the next session begins within 14 days."""
OUTCOMES: Final = (*IN_SESSION, *AFTER_SESSION)

_COLUMN: Final = {scalar.name: i for i, scalar in enumerate(SCALARS)}
_FUNNEL: Final = [_COLUMN[name] for name in ("carts", "checkouts", "purchases")]
_NEXT: Final = [_COLUMN[name] for name in ("carts", "purchases")]


class Outcomes(NamedTuple):
    """Of n rows and the 8 OUTCOMES, in their order: known bool [n, 8]; happened bool [n, 8], False where it
    is not known."""

    known: NDArray[np.bool_]
    happened: NDArray[np.bool_]


def outcomes_of(data: BuyerVectors) -> Outcomes:
    """What came after each row.

    In the session: known of rows taken for their position, of sessions that were over before the store's
    last event; a cart of who has not entered the funnel in this session, a checkout of who has not come so
    far, a purchase of who has not purchased. The next session and the return: known of a session's last row;
    a cart or purchase where there is a next session, a return where the store's history goes on for 14 days.
    """
    end, follows = data.session_end, data.next_session_end
    counts, last_time = data.vectors[:, :N_SCALARS], _last_time_of_store(data)
    before = _session_before(data)
    funnel = counts[:, _FUNNEL] - np.where(before[:, None] >= 0, counts[before][:, _FUNNEL], 0.0)
    untouched = np.cumsum(funnel[:, ::-1], axis=1)[:, ::-1] == 0
    inside = (data.position > 0) & is_over(data)
    begun = (before >= 0) | (counts[:, SESSIONS_COLUMN] == 1)
    ended = end == np.arange(len(end))
    left = counts[end, EVENTS_COLUMN] - counts[:, EVENTS_COLUMN]
    more = counts[follows][:, _NEXT] > counts[:, _NEXT]
    away = _session_start(data)[follows] - data.time
    known = [
        (inside & begun)[:, None] & untouched,
        np.repeat(inside[:, None], 2, axis=1),
        np.repeat((ended & (follows >= 0))[:, None], 2, axis=1),
        (ended & (data.time + RETURN_MS <= last_time))[:, None],
    ]
    happened = [
        counts[end][:, _FUNNEL] > counts[:, _FUNNEL],
        left[:, None] < np.array([1, 3]),
        more,
        ((follows >= 0) & (away <= RETURN_MS))[:, None],
    ]
    return Outcomes(np.hstack(known), np.hstack(known) & np.hstack(happened))


def is_over(data: BuyerVectors) -> NDArray[np.bool_]:
    """Whether each row's session had ended when its store's history ended, bool [n]."""
    return np.asarray(data.time[data.session_end] + SESSION_GAP_MS < _last_time_of_store(data))


def _session_before(data: BuyerVectors) -> NDArray[np.int64]:
    """The row at the end of the session before each row's, int64 [n]; -1 where it is not among the rows."""
    before = np.full(len(data.buyer), -1, dtype=np.int64)
    ends = np.unique(data.session_end)
    known = ends[data.next_session_end[ends] >= 0]
    before[data.next_session_end[known]] = known
    return np.asarray(before[data.session_end])


def _session_start(data: BuyerVectors) -> NDArray[np.int64]:
    """Time of the first event of each row's session, int64 [n] ms."""
    start = np.array(data.time)
    first = np.flatnonzero(data.position == 1)
    start[data.session_end[first]] = data.time[first]
    return np.asarray(start[data.session_end])


def _last_time_of_store(data: BuyerVectors) -> NDArray[np.int64]:
    """The latest event time of each row's store, int64 [n]."""
    names: NDArray[Any] = np.array([store for store, _ in data.buyers])
    store = np.unique(names, return_inverse=True)[1][data.buyer]
    latest = np.zeros(int(store.max(initial=0)) + 1, dtype=np.int64)
    np.maximum.at(latest, store, data.time)
    return latest[store]
