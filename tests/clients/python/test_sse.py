"""Server-sent events come out whole, however their bytes are cut."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from simpersona_client._sse import SseEvent, SseReader

STREAM = (
    "retry: 2000\nid: 1a\n\n"
    ": alive\nid: 1b\n\n"
    'id: 1c\r\nevent: assignment\r\ndata: {"store":"a\u2028b\u0085"}\r\n\r\n'
    "event:gap\ndata: one\ndata:  two\n\n"
    "event: half"
).encode()
EVENTS = [
    SseEvent("message", "", "1a"),
    SseEvent("message", "", "1b"),
    SseEvent("assignment", '{"store":"a\u2028b\u0085"}', "1c"),
    SseEvent("gap", "one\n two", "1c"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_cut_gives_the_same_events(cuts: list[int]) -> None:
    reader, places = SseReader(), [0, *sorted(cuts), len(STREAM)]
    found = [event for first, last in itertools.pairwise(places) for event in reader.feed(STREAM[first:last])]
    assert found == EVENTS


def test_the_last_id_stands_until_another_is_named() -> None:
    assert [event.id for event in SseReader("9").feed(b"data: x\n\nid: 10\n\n")] == ["9", "10"]
