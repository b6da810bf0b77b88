"""Distribution measures: 0 of a population and itself, by hand otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.persona_llm.contenders.trace_codes import TraceCoder, outcome_of
from studies.persona_llm.parts import distribution as d
from training.persona_llm.storefront.actions import ACTIONS, ADD, FIRST, LEAVE, PURCHASE, Step

LOOKS, BUYS = [FIRST, LEAVE], [FIRST, ADD, PURCHASE, LEAVE]
SESSIONS = st.lists(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=6), min_size=1, max_size=8)


@given(SESSIONS)
def test_a_population_is_like_itself(sessions: list[list[str]]) -> None:
    assert d.pages_divergence(sessions, sessions) == pytest.approx(0, abs=1e-12)
    assert d.transition_distance(sessions, sessions) == pytest.approx(0, abs=1e-12)
    assert d.novelty(sessions, {*map(tuple, sessions)}) == 0


@given(SESSIONS, SESSIONS)
def test_distances_keep_their_bounds(real: list[list[str]], simulated: list[list[str]]) -> None:
    assert 0 <= d.pages_divergence(real, simulated) <= np.log(2) + 1e-9
    assert 0 <= d.transition_distance(real, simulated) <= 1 + 1e-9


def test_transition_distance_by_hand() -> None:
    # From the entrance all agree; from "product first" half of the moves would have to be others.
    real, simulated = [LOOKS, LOOKS], [LOOKS, [FIRST, ADD, LEAVE]]
    assert d.transition_distance(real, simulated) == pytest.approx(0.25)


def test_novelty_counts_sequences_not_actions() -> None:
    assert d.novelty([LOOKS, BUYS, [ADD, FIRST, PURCHASE, LEAVE]], {(*LOOKS,), (*BUYS,)}) == pytest.approx(
        1 / 3
    )


def test_codes_explain_everything_or_nothing() -> None:
    sessions = [LOOKS, BUYS] * 20
    assert d.between_codes(sessions, [0, 1] * 20) == pytest.approx(1)
    random = np.random.default_rng(0)
    assert abs(d.between_codes(sessions * 20, random.integers(0, 10, 800).tolist())) < 0.05
    assert np.isnan(d.between_codes(sessions, list(range(40))))


def test_time_to_cart_is_the_sum_of_stays_before_it() -> None:
    steps = [Step(FIRST, None, None, 2000), Step(FIRST, None, None, 3000), Step(ADD, None, None, 9000)]
    assert d.times_to_cart([steps, steps[:1]]).tolist() == [5.0]


def test_a_session_of_the_coder_returns_its_code_and_types_keep_outcomes_apart() -> None:
    looks = [[FIRST] * n + [LEAVE] for n in range(1, 6)]
    buys = [[FIRST] * n + [ADD, PURCHASE, LEAVE] for n in range(1, 6)]
    coder = TraceCoder.fit(looks + buys, seed=0)
    assert len(set(coder.codes(looks + buys).tolist())) == 10
    types = coder.type_of_code[coder.codes(looks + buys)]
    assert not set(types[:5].tolist()) & set(types[5:].tolist())
    assert [outcome_of(looks[0]), outcome_of(buys[0])] == ["D", "A"]
