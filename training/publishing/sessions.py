"""Sessions of training buyers in forms that many share, so that a catalogue can show them.

A form holds no id, no product, no query and no time of day. It is as fine as it can be while at least
MIN_SHARED_BY buyers have it in common (k-anonymity; Sweeney 2002); where not even the coarsest is
shared by so many, the session is not shown.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Final, NamedTuple

from feature_store.contract.events import Event
from feature_store.fold.behavior import SESSION_GAP_MS
from feature_store.history.offline_fold import BuyerKey
from inference.bundles.catalogue import MIN_SHARED_BY, SessionShape, SessionStep

_MAX_EVENTS: Final = 500  # of a buyer; whoever has more is no type of session that many share
_TIMES: Final = ((1, "1"), (2, "2-3"), (4, "4-7"), (8, "8-15"), (16, "16 or more"))
_PAUSES: Final = (
    (0, "under 10 s"),
    (10, "10-30 s"),
    (30, "30 s-2 min"),
    (120, "2-10 min"),
    (600, "over 10 min"),
)
_TYPICAL_SHARE: Final = 0.25
"""A form is typical of a code if so many of its buyers have it; else a coarser one is looked for."""

Shape = tuple[SessionStep, ...]


class Visit(NamedTuple):
    """One event of a session: time in ms and event type."""

    time: int
    type: str


def longest_sessions(
    batches: Iterable[Sequence[Event]], wanted: Collection[BuyerKey]
) -> dict[BuyerKey, list[Visit]]:
    """The session with the most events (the latest of equals) of each wanted buyer who has events.

    Sessions are parted as the fold parts them: by 30 minutes of event time; an event counts once.
    """
    seen: dict[BuyerKey, dict[str, Visit]] = {key: {} for key in wanted}
    for batch in batches:
        for event in batch:
            mine = seen.get((event.store, event.buyer))
            if mine is not None and len(mine) < _MAX_EVENTS:
                mine.setdefault(event.event_id, Visit(event.timestamp, event.type))
    return {key: _longest(sorted(mine.values())) for key, mine in seen.items() if mine}


def _longest(visits: list[Visit]) -> list[Visit]:
    sessions = [[visits[0]]]
    for before, visit in pairwise(visits):
        if visit.time - before.time > SESSION_GAP_MS:
            sessions.append([])
        sessions[-1].append(visit)
    return max(reversed(sessions), key=len)


def _with_pauses(session: Sequence[Visit]) -> Shape:
    steps = []
    for kind, group in groupby(session, key=lambda visit: visit.type):
        run = list(group)
        pauses = [after.time - before.time for before, after in pairwise(run)]
        pause = _range(_PAUSES, statistics.median(pauses) / 1000) if pauses else ""
        steps.append(SessionStep(kind, _range(_TIMES, len(run)), pause))
    return tuple(steps)


def _in_order(session: Sequence[Visit]) -> Shape:
    return tuple(SessionStep(step.type, step.times) for step in _with_pauses(session))


def _totals(session: Sequence[Visit]) -> Shape:
    counts = Counter(visit.type for visit in session)  # in the order of first use
    return tuple(SessionStep(kind, _range(_TIMES, count)) for kind, count in counts.items())


def _kinds(session: Sequence[Visit]) -> Shape:
    return tuple(SessionStep(kind) for kind in dict.fromkeys(visit.type for visit in session))


_LEVELS: Final[tuple[Callable[[Sequence[Visit]], Shape], ...]] = (_with_pauses, _in_order, _totals, _kinds)


def forms(session: Sequence[Visit]) -> list[Shape]:
    """The forms of a session, from the finest to the coarsest."""
    return [form(session) for form in _LEVELS]


def _range(ranges: Sequence[tuple[int, str]], value: float) -> str:
    return ranges[bisect_right([least for least, _ in ranges], value) - 1][1]


class SharedShapes:
    """How many buyers have which form in common, at every level; one session per buyer counts."""

    def __init__(self, sessions: Mapping[BuyerKey, Sequence[Visit]]) -> None:
        self._shapes = {key: forms(session) for key, session in sessions.items()}
        self._counts = [Counter(shapes[i] for shapes in self._shapes.values()) for i in range(len(_LEVELS))]

    def prototype(self, nearest_first: Sequence[BuyerKey]) -> SessionShape | None:
        """The session of the first buyer, in the finest form that enough share; None if they share none."""
        for key in nearest_first:
            if key not in self._shapes:
                continue
            for counts, shape in zip(self._counts, self._shapes[key], strict=True):
                if counts[shape] >= MIN_SHARED_BY:
                    return SessionShape(steps=shape, buyers=counts[shape])
        return None

    def typical(self, buyers: Sequence[BuyerKey]) -> SessionShape | None:
        """The form most common among these buyers, as fine as a quarter of them share it."""
        mine = [self._shapes[key] for key in buyers if key in self._shapes]
        found = None
        for level, counts in enumerate(self._counts):
            shared = Counter(shapes[level] for shapes in mine if counts[shapes[level]] >= MIN_SHARED_BY)
            if not shared:
                continue
            shape, count = shared.most_common(1)[0]
            found = SessionShape(steps=shape, buyers=counts[shape])
            if count >= _TYPICAL_SHARE * len(mine):
                return found
        return found
