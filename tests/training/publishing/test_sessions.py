"""Sessions of a catalogue: parted as the fold parts them, and shown only as enough buyers share them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import EVENT_TYPES, Event
from inference.bundles.catalogue import MIN_SHARED_BY, SessionStep
from tests.strategies import MINUTE, START, event
from training.publishing.sessions import SharedShapes, Visit, forms, longest_sessions


def visits(*kinds: str, every: int = 20_000) -> list[Visit]:
    return [Visit(START + i * every, kind) for i, kind in enumerate(kinds)]


def events(buyer: str, *kinds: str, start: int = START, every: int = 20_000) -> list[Event]:
    return [
        event(event_id=f"{buyer}-{start}-{i}", buyer=buyer, type=kind, timestamp=start + i * every)
        for i, kind in enumerate(kinds)
    ]


def sharing(*sessions: tuple[list[Visit], int]) -> dict[tuple[str, str], list[Visit]]:
    every = [session for session, buyers in sessions for _ in range(buyers)]
    return {("acme", str(i)): session for i, session in enumerate(every)}


def test_the_longest_session_and_only_of_those_wanted() -> None:
    history = [
        *events("b1", "page_view", "page_view"),
        *events("b1", "search", "product_view", "add_to_cart", start=START + 31 * MINUTE),
        *events("b1", "login", start=START + 99 * MINUTE),
        *events("b2", "page_view"),
    ]
    found = longest_sessions([history[:3], history[3:]], {("acme", "b1"), ("acme", "b3")})
    assert {key: [visit.type for visit in session] for key, session in found.items()} == {
        ("acme", "b1"): ["search", "product_view", "add_to_cart"]
    }


def test_thirty_minutes_go_on_and_a_millisecond_more_parts() -> None:
    for gap, length in ((30 * MINUTE, 2), (30 * MINUTE + 1, 1)):
        found = longest_sessions([events("b1", "page_view", "search", every=gap)], [("acme", "b1")])
        assert len(found["acme", "b1"]) == length


def test_an_event_sent_twice_counts_once_and_disorder_is_put_right() -> None:
    history = events("b1", "page_view", "search", "product_view")
    found = longest_sessions([[history[2], history[0], history[2], history[1]]], [("acme", "b1")])
    assert [visit.type for visit in found["acme", "b1"]] == ["page_view", "search", "product_view"]


def test_a_form_is_as_fine_as_enough_buyers_share() -> None:
    common = visits(*["product_view"] * 3, "add_to_cart")
    slower = visits(*["product_view"] * 3, "add_to_cart", every=300_000)
    shapes = SharedShapes(sharing((common, 5)))
    shape = shapes.prototype([("acme", "0")])
    assert shape is not None
    assert shape.steps == (SessionStep("product_view", "2-3", "10-30 s"), SessionStep("add_to_cart", "1"))
    assert shape.buyers == 5
    assert str(shape) == "2-3 x product view (10-30 s apart) > add to cart"

    shape = SharedShapes(sharing((common, 4), (slower, 3))).prototype([("acme", "0")])
    assert shape is not None
    assert shape.steps == (SessionStep("product_view", "2-3"), SessionStep("add_to_cart", "1")), (
        "pauses are left out"
    )

    longer = visits(*["product_view"] * 12, "add_to_cart")
    shape = SharedShapes(sharing((common, 4), (longer, 4))).prototype([("acme", "0")])
    assert shape is not None
    assert shape.steps == (SessionStep("product_view"), SessionStep("add_to_cart")), "counts are left out"


def test_what_too_few_share_is_not_shown() -> None:
    odd = visits("login", "search", "purchase")
    shapes = SharedShapes(sharing((odd, 4), (visits("page_view"), 5)))
    assert shapes.prototype([("acme", "0")]) is None
    assert shapes.typical([("acme", "0"), ("acme", "1")]) is None
    assert shapes.prototype([("acme", "0"), ("acme", "4")]) is not None, "the next nearest is taken"


def test_typical_is_what_most_of_the_codes_buyers_have() -> None:
    shapes = SharedShapes(sharing((visits("page_view"), 9), (visits("search", "product_view"), 5)))
    mine = [("acme", str(i)) for i in (0, 9, 10, 11)]
    shape = shapes.typical(mine)
    assert shape is not None
    assert [step.type for step in shape.steps] == ["search", "product_view"]
    assert SharedShapes({}).typical(mine) is None


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(EVENT_TYPES[:4]), st.integers(0, 20)), min_size=1, max_size=6),
        min_size=1,
        max_size=40,
    )
)
def test_nothing_is_shown_that_fewer_than_five_share(drawn: list[list[tuple[str, int]]]) -> None:
    sessions = {}
    for i, steps in enumerate(drawn):
        times = [START + 60_000 * sum(gap for _, gap in steps[: j + 1]) for j in range(len(steps))]
        sessions["acme", str(i)] = [Visit(time, kind) for time, (kind, _) in zip(times, steps, strict=True)]
    shapes = SharedShapes(sessions)
    kinds = Counter(tuple(dict.fromkeys(visit.type for visit in session)) for session in sessions.values())
    for key, session in sessions.items():
        shown = shapes.prototype([key])
        if shown is None:
            assert kinds[tuple(dict.fromkeys(visit.type for visit in session))] < MIN_SHARED_BY
        else:
            assert shown.buyers >= MIN_SHARED_BY
            level = forms(session).index(shown.steps)
            same = [other for other in sessions.values() if forms(other)[level] == shown.steps]
            assert len(same) == shown.buyers
            assert {step.type for step in shown.steps} == {visit.type for visit in session}
