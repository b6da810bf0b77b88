"""Hypothesis strategies and builders that several test folders share."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st

from feature_store.contract.events import EVENT_TYPES, Event

MINUTE = 60_000
START = 1_763_900_000_000


def event(**fields: Any) -> Event:
    """An event with sensible defaults; name only what the test is about."""
    base: dict[str, Any] = {
        "schema_version": 1,
        "event_id": "e1",
        "store": "acme",
        "buyer": "b1",
        "type": "product_view",
        "timestamp": START,
    }
    return Event(**(base | fields))


prices = st.none() | st.floats(0, 1e6, allow_nan=False).map(lambda x: round(x, 2))


@st.composite
def histories(draw: st.DrawFn, max_events: int = 60, ids: int = 40) -> list[Event]:
    """Arrival-ordered events of up to three buyers, with repeats, disorder, lateness and session gaps."""
    steps = st.sampled_from([0, 1, 1_000, 20 * MINUTE, 30 * MINUTE, 30 * MINUTE + 1, 300 * MINUTE])
    back = st.sampled_from([0, 0, 0, 1, 10 * MINUTE, 30 * MINUTE, 30 * MINUTE + 1, 500 * MINUTE])
    now = START
    events = []
    for _ in range(draw(st.integers(0, max_events))):
        now += draw(steps)
        events.append(
            event(
                event_id=f"e{draw(st.integers(0, ids))}",
                buyer=draw(st.sampled_from(["b1", "b2", "b3"])),
                type=draw(st.sampled_from((*EVENT_TYPES, "purchase", "purchase", "refund"))),
                timestamp=now - draw(back),
                product_id=draw(st.none() | st.sampled_from(["p1", "p2", "p3"])),
                category=draw(st.none() | st.sampled_from(["home", "home/kitchen"])),
                price=draw(prices),
                currency=draw(st.sampled_from([None, "USD", "JPY", "KWD"])),
                quantity=draw(st.none() | st.integers(1, 5)),
                value=draw(prices),
                order=draw(st.sampled_from([None, None, "o1", "o2"])),
                line=draw(st.sampled_from([None, None, "l1", "l2"])),
            )
        )
    return events


def cuts(draw: st.DrawFn, events: list[Event]) -> list[list[Event]]:
    """The events split into consecutive batches at drawn places."""
    places = sorted(draw(st.lists(st.integers(0, len(events)), max_size=8)))
    edges = [0, *places, len(events)]
    return [events[a:b] for a, b in itertools.pairwise(edges)]
