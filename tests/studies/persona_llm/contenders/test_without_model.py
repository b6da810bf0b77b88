"""Markov chains and replay on sessions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from studies.persona_llm.contenders.without_model import Chain, partners, passable, planned, replay
from tests.training.persona_llm.made import store_of, trace
from training.persona_llm.storefront.actions import ADD, FIRST, HOME, LEAVE, NUMBER, PURCHASE, SAME
from training.persona_llm.storefront.storefront import STEP_LIMIT
from training.persona_llm.traces.traces import Trace

LOOKS, BUYS = [FIRST], [FIRST, ADD, PURCHASE]


def traces() -> list[Trace]:
    """Code 1 buys, code 2 looks."""
    made = []
    for i in range(40):
        split = "train" if i < 30 else "validation"
        made.append(trace(BUYS, buyer=f"a{i}", code=1, split=split))  # type: ignore[arg-type]
        made.append(trace(LOOKS, buyer=f"d{i}", code=2, split=split))  # type: ignore[arg-type]
    return made


TRACES = traces()
TRAINING = [one for one in TRACES if one.split == "train"]
STORES = {"acme": store_of(TRAINING)}


def chain(*, by_code: bool) -> Chain:
    return Chain(TRACES, "after", by_store=True, by_code=by_code)


def test_probabilities_sum_to_one_also_of_codes_and_stores_never_seen() -> None:
    for store, code in [("acme", 1), ("acme", 99), ("elsewhere", 1)]:
        rows = chain(by_code=True).probabilities(store, code)
        assert rows.sum(axis=1) == pytest.approx(np.ones(len(rows)))
        assert (rows > 0).all()


def test_a_chain_of_the_store_is_the_average_and_one_of_the_code_is_not() -> None:
    for by_code, of_buyers in [(False, 0.5), (True, 1.0)]:
        after_first = chain(by_code=by_code).probabilities("acme", 1)[NUMBER[FIRST]]
        assert after_first[NUMBER[ADD]] == pytest.approx(of_buyers, abs=0.06)


def test_likelihood_is_the_sum_of_logs_and_better_with_the_code() -> None:
    of_store = chain(by_code=False)
    rows = of_store.probabilities("acme", 1)
    moves = [(-1, FIRST), (NUMBER[FIRST], ADD), (NUMBER[ADD], PURCHASE), (NUMBER[PURCHASE], LEAVE)]
    by_hand = sum(np.log(rows[previous, NUMBER[action]]) for previous, action in moves)
    assert of_store.log_likelihood(TRACES[:1]) == pytest.approx([by_hand])
    assert (chain(by_code=True).log_likelihood(TRACES) > of_store.log_likelihood(TRACES)).all()


def test_given_actions_are_not_told() -> None:
    after = Chain(TRACES, "early", by_store=True, by_code=False, given=3)
    rows = after.probabilities("acme", 1)
    assert after.log_likelihood(TRACES[:1]) == pytest.approx([np.log(rows[NUMBER[PURCHASE], NUMBER[LEAVE]])])


def test_walks_act_by_code_stay_on_links_and_end() -> None:
    walked = chain(by_code=True).walk(TRACES, STORES, np.random.default_rng(0))
    bought = np.array([PURCHASE in actions for actions in walked])
    assert bought[::2].mean() > 0.8
    assert bought[1::2].mean() < 0.2
    assert all(HOME not in actions for actions in walked)
    assert all(actions[-1] == LEAVE or len(actions) == STEP_LIMIT for actions in walked)


def test_replay_takes_a_training_session_of_the_code_and_any_where_there_is_none() -> None:
    judged = [trace(LOOKS, code=1), trace(BUYS, code=2), trace(BUYS, code=3)]
    random = np.random.default_rng(0)
    for _ in range(20):
        beside = partners(judged, TRAINING, "after", random, by_store=True)
        first, second, third = replay(judged, beside, STORES)
        assert first == [*BUYS, LEAVE]
        assert second == [*LOOKS, LEAVE]
        assert third in ([*BUYS, LEAVE], [*LOOKS, LEAVE])


def test_a_chain_that_is_held_to_a_plan_does_what_it_says_and_nothing_else_of_the_funnel() -> None:
    plans = ["plan: look in up to 4 steps", "plan: add, purchase in up to 4 steps"] * 40
    walked = chain(by_code=True).walk(TRACES, STORES, np.random.default_rng(0), plans)
    assert {frozenset({ADD, PURCHASE} & {*actions}) for actions in walked[::2]} == {frozenset()}
    ended = [{ADD, PURCHASE} <= {*actions} for actions in walked[1::2] if actions[-1] == LEAVE]
    assert ended
    assert all(ended)


def test_a_partners_plan_is_what_the_store_can_fulfil() -> None:
    store = store_of([one for one in TRAINING if PURCHASE not in one.actions])
    buyers = [one for one in TRAINING if PURCHASE in one.actions][:3]
    assert planned(buyers, buyers, STORES) == ["plan: add, purchase in up to 4 steps"] * 3
    assert planned(buyers, buyers, {"acme": store}) == ["plan: look in up to 4 steps"] * 3


def test_what_a_store_has_no_link_to_is_left_out() -> None:
    assert passable(STORES["acme"], [HOME, FIRST, SAME, ADD, LEAVE]) == [FIRST, ADD, LEAVE]
