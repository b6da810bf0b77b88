"""A history -> sessions, each with the buyer vectors of what was known when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.behavior import SESSION_GAP_MS
from feature_store.fold.vector import VECTOR_SIZE
from feature_store.history.offline_fold import History

LANDMARK: Final = 3
"""The early vector is taken after so many events of a session."""
FUNNEL: Final = frozenset(
    {"add_to_cart", "remove_from_cart", "view_cart", "begin_checkout", "add_payment_info", "purchase"}
)
_GROUP_EVENTS: Final = 4_096


class Session(NamedTuple):
    """Consecutive events of a buyer without a pause of 30 minutes (event time).

    number: 1 for the buyer's first session. known_before: how many events of the buyer came earlier.
    before: the buyer's vector float32 [W] at the session's start, None where it is the first one.
    early: the vector after the session's first three events, None where it is shorter or one of the
    three is of the funnel. after: the vector of the buyer's whole history, this session and all later ones
    included: for expressiveness alone, it knows the outcome.
    """

    store: str
    buyer: str
    number: int
    known_before: int
    events: list[Event]
    before: NDArray[np.float32] | None
    early: NDArray[np.float32] | None
    after: NDArray[np.float32]


def sessions_of(batches: Iterable[Sequence[Event]]) -> Iterator[Session]:
    """Cut a history, given in arrival order, into sessions, buyer by buyer.

    Vectors come from the one fold. Events are taken in the order of event time: a late one belongs to
    the session in which it happened. Holds the whole history in memory.
    """
    group: list[list[Event]] = []
    size = 0
    for events in _by_buyer(batches):
        group.append(events)
        size += len(events)
        if size >= _GROUP_EVENTS:
            yield from _describe(group)
            group, size = [], 0
    yield from _describe(group)


def _by_buyer(batches: Iterable[Sequence[Event]]) -> Iterator[list[Event]]:
    found: dict[tuple[str, str], dict[str, Event]] = {}
    for batch in batches:
        for event in batch:
            found.setdefault((event.store, event.buyer), {}).setdefault(event.event_id, event)
    for events in found.values():
        yield sorted(events.values(), key=lambda event: event.timestamp)


def _describe(group: list[list[Event]]) -> Iterator[Session]:
    if not group:
        return
    flat = [event for events in group for event in events]
    steps = History().add_each(flat)
    # Every event has its row: repeated ids were dropped above, and in order nothing else is refused.
    vectors = np.empty((len(flat), VECTOR_SIZE), np.float32)
    vectors[steps.places] = steps.vectors
    start = 0
    for events in group:
        yield from _cut(events, vectors[start : start + len(events)])
        start += len(events)


def _cut(events: list[Event], vectors: NDArray[np.float32]) -> Iterator[Session]:
    times = np.array([event.timestamp for event in events])
    bounds = [0, *(np.flatnonzero(np.diff(times) > SESSION_GAP_MS) + 1).tolist(), len(events)]
    for number, (first, last) in enumerate(pairwise(bounds), start=1):
        inside = events[first:last]
        begun = inside[:LANDMARK]
        early = len(begun) == LANDMARK and not any(event.type in FUNNEL for event in begun)
        yield Session(
            store=events[0].store,
            buyer=events[0].buyer,
            number=number,
            known_before=first,
            events=inside,
            before=vectors[first - 1] if first else None,
            early=vectors[first + LANDMARK - 1] if early else None,
            after=vectors[-1],
        )
