"""Events become actions that mean the same in every store."""

from __future__ import annotations

from feature_store.contract.events import EVENT_TYPES
from tests.training.persona_llm.shops import event, shopping_trip
from training.persona_llm.storefront.actions import ACTIONS, EVENT_OF, LEAVE, NUMBER, PRODUCTS, Item, steps_of


def test_every_event_type_has_an_action_and_every_action_but_leaving_an_event() -> None:
    for type_ in EVENT_TYPES:
        assert len(steps_of([event(type_, 0)])) == 2
    assert set(EVENT_OF) == set(ACTIONS) - {LEAVE}
    assert [ACTIONS[NUMBER[action]] for action in ACTIONS] == list(ACTIONS)


def test_a_session_is_told_in_order_with_its_items_and_stays() -> None:
    steps = steps_of(shopping_trip())
    assert [step.action for step in steps] == [
        "home",
        "product first",
        "product like",
        "product back",
        "add",
        "purchase",
        "leave",
    ]
    assert steps[1].item == Item("lamp-1", "home/lamps", None, 19.9)
    assert [step.dwell_ms for step in steps] == [60_000, 60_000, 60_000, 60_000, 120_000, 0, 0]


def test_relations_between_products() -> None:
    views = [
        event("product_view", 0, product="a", category="x"),
        event("product_view", 1, product="a", category="x"),
        event("product_view", 2, product="b", category="y"),
        event("product_view", 3, product="a", category="x"),
        event("product_view", 4, product="c", category="x"),
    ]
    relations = [step.action.removeprefix("product ") for step in steps_of(views)]
    assert relations == ["first", "same", "other", "back", "like", "leave"]


def test_products_without_an_id_are_never_the_same() -> None:
    views = [event("product_view", minute) for minute in range(3)]
    assert [step.action for step in steps_of(views)] == [PRODUCTS[0], "product like", "product like", LEAVE]


def test_a_clock_that_goes_back_gives_no_negative_stay() -> None:
    assert all(step.dwell_ms >= 0 for step in steps_of([event("search", 5), event("search", 1)]))
