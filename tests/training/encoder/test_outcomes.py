"""What came after a row is what the events say that came."""

from __future__ import annotations

from feature_store.contract.events import Event
from tests.strategies import START, event
from training.encoder.dataset import training_rows
from training.encoder.outcomes import OUTCOMES, RETURN_MS, outcomes_of

DAY = 86_400_000


def session(buyer: str, at: int, *types: str) -> list[Event]:
    return [
        event(event_id=f"{buyer}{at}{i}", buyer=buyer, type=kind, timestamp=START + at + 1000 * i)
        for i, kind in enumerate(types)
    ]


def said_of(events: list[Event]) -> dict[tuple[str, int], dict[str, bool]]:
    """(buyer, events) -> the outcomes that are known of that row."""
    data = training_rows([events])
    known, happened = outcomes_of(data)
    keys = [(data.buyers[b][1], int(n)) for b, n in zip(data.buyer, data.vectors[:, 0], strict=True)]
    return {
        key: {name: bool(happened[i, o]) for o, name in enumerate(OUTCOMES) if known[i, o]}
        for i, key in enumerate(keys)
    }


LATER = session("other", 100 * DAY, "page_view")
"""The store's history goes on long after."""


def test_what_comes_in_the_rest_of_the_session() -> None:
    types = ("page_view", "add_to_cart", "page_view", "begin_checkout", "purchase")
    said = said_of(session("b", 0, *types) + LATER)
    assert said["b", 1] == {
        "cart": True,
        "checkout": True,
        "purchase": True,
        "leaves_1": False,
        "leaves_3": False,
    }
    assert said["b", 2] == {"checkout": True, "purchase": True, "leaves_1": False, "leaves_3": False}
    assert said["b", 3] == {"checkout": True, "purchase": True, "leaves_1": False, "leaves_3": True}
    assert said["b", 5] == {"leaves_1": True, "leaves_3": True, "returns": False}


def test_a_purchase_without_a_cart_leaves_no_cart_to_come() -> None:
    said = said_of(session("b", 0, "page_view", "purchase", "page_view") + LATER)
    assert said["b", 1]["cart"] is False
    assert not {"cart", "checkout", "purchase"} & set(said["b", 2])


def test_the_session_before_does_not_count() -> None:
    said = said_of(session("b", 0, "add_to_cart") + session("b", DAY, "page_view", "add_to_cart") + LATER)
    assert said["b", 2]["cart"] is True


def test_the_next_session_is_told_of_the_sessions_last_row() -> None:
    events = session("b", 0, "page_view", "add_to_cart") + session("b", DAY, "page_view", "add_to_cart")
    said = said_of(events + session("b", 2 * DAY + RETURN_MS, "page_view") + LATER)
    after = {"next_cart", "next_purchase", "returns"}
    assert not after & set(said["b", 1])
    assert {name: said["b", 2][name] for name in after} == {
        "next_cart": True,
        "next_purchase": False,
        "returns": True,
    }
    assert {name: said["b", 4][name] for name in after} == {
        "next_cart": False,
        "next_purchase": False,
        "returns": False,
    }
    assert after & set(said["b", 5]) == {"returns"}


def test_what_lies_beyond_the_history_is_not_known() -> None:
    said = said_of(session("b", 0, "page_view", "page_view"))
    assert said == {("b", 1): {}, ("b", 2): {}}
    said = said_of(session("b", 0, "page_view", "page_view") + session("other", 2 * DAY, "page_view"))
    assert "leaves_1" in said["b", 1]
    assert "returns" not in said["b", 2]


def test_no_buyer_has_no_outcome() -> None:
    assert outcomes_of(training_rows([])).known.shape == (0, len(OUTCOMES))
