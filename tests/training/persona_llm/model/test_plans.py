"""Plans: real sessions keep their own, and what a plan leaves out is held back."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from training.persona_llm.model.plans import AIMED, WITHIN, held_back, plan_line
from training.persona_llm.storefront.actions import ACTIONS, ADD, CHECKOUT, HOME, LEAVE, PURCHASE

SESSIONS = st.lists(st.sampled_from([a for a in ACTIONS if a != LEAVE]), max_size=50).map(
    lambda done: [*done, LEAVE]
)


@given(SESSIONS)
def test_a_session_is_held_back_from_nothing_that_it_did(session: list[str]) -> None:
    plan = plan_line(session).strip()
    for i, action in enumerate(session):
        assert action not in held_back(plan, session[:i])


@given(SESSIONS)
def test_a_plan_is_one_of_each_half_and_says_aims_and_length(session: list[str]) -> None:
    line = plan_line(session)
    assert line in {aimed + within for aimed in AIMED for within in WITHIN}
    assert {aim for aim in (ADD, CHECKOUT, PURCHASE) if aim in line} == {ADD, CHECKOUT, PURCHASE} & {*session}
    numbers = [int(number) for number in re.findall(r"\d+", line)]
    low, high = {1: (1, numbers[0]), 2: (numbers[0], numbers[-1])}[len(numbers)]
    if "more" in line:
        low, high = numbers[0] + 1, 1_000
    assert low <= len(session) <= high


def test_what_is_not_planned_is_never_done_and_nobody_leaves_early() -> None:
    plan = plan_line([HOME, ADD, PURCHASE, LEAVE]).strip()
    assert plan == "plan: add, purchase in up to 4 steps"
    assert held_back(plan, []) == {CHECKOUT, LEAVE}
    assert held_back(plan, [ADD]) == {CHECKOUT, LEAVE}
    assert held_back(plan, [ADD, PURCHASE]) == {CHECKOUT}
    assert held_back(plan_line([HOME, LEAVE]).strip(), []) == {ADD, CHECKOUT, PURCHASE}
