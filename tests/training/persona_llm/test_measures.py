"""ARA and spread kept against cases by hand and against their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.persona_llm.made import trace
from training.persona_llm import measures as m
from training.persona_llm.measures import Acted, Judged
from training.persona_llm.storefront.actions import ADD, FIRST, LEAVE, PURCHASE

LOOKS, CARTS, BUYS = [FIRST], [FIRST, ADD], [FIRST, ADD, PURCHASE]


def judged(counts: dict[str, int]) -> Judged:
    """So many buyers of one session that looked, filled a cart, bought."""
    kinds = {"D": LOOKS, "C": CARTS, "A": BUYS}
    return Judged.of([trace(kinds[name], buyer=f"{name}{i}") for name, n in counts.items() for i in range(n)])


def once(of: Judged) -> np.ndarray:
    return np.ones((1, of.buyers))


def constant(of: Judged, cart: float, purchase: float) -> Acted:
    n = len(of.traces)
    return Acted(np.full(n, cart), np.full(n, purchase))


def test_real_sessions_are_aligned_with_themselves() -> None:
    of = judged({"A": 12, "C": 15, "D": 20})
    assert m.ara(of, of.real, once(of)) == pytest.approx([1.0])


def test_who_never_buys_is_right_of_those_who_look_and_half_right_of_carts() -> None:
    of = judged({"A": 12, "C": 15, "D": 20})
    by_cell = m.alignment(of, constant(of, 0, 0), once(of))[0]
    assert dict(zip([s for _, s in of.cells], by_cell, strict=True)) == {"A": 0.0, "C": 0.5, "D": 1.0}
    assert m.ara(of, constant(of, 0, 0), once(of)) == pytest.approx([0.5])


def test_a_cell_with_fewer_sessions_than_asked_does_not_count() -> None:
    of = judged({"A": m.LEAST - 1, "D": m.LEAST})
    assert of.cells == [("acme", "D")]
    assert m.ara(of, constant(of, 0, 0), once(of)) == pytest.approx([1.0])


def test_the_stratum_is_the_buyers_and_not_the_sessions() -> None:
    traces = [trace(LOOKS, buyer="b"), trace(BUYS, buyer="b", number=2), trace(LOOKS, buyer="c")]
    assert Judged.of(traces).stratum == ["A", "A", "D"]


def test_a_buyer_drawn_twice_counts_twice() -> None:
    of = judged({"D": 20})
    acted = Acted(np.array([1.0] * 10 + [0.0] * 10), np.zeros(20))
    weights = np.vstack([np.ones(20), np.r_[np.full(10, 2.0), np.zeros(10)]])
    assert m.ara(of, acted, weights) == pytest.approx([0.75, 0.5])


@given(st.floats(0, 1), st.floats(0, 1), st.integers(10, 20), st.integers(10, 20))
def test_ara_lies_between_0_and_1_and_averages_to_half_over_opposites(
    cart: float, purchase: float, looks: int, buys: int
) -> None:
    of = judged({"A": buys, "D": looks})
    found = m.ara(of, constant(of, cart, purchase), once(of))[0]
    # D is right by 1 - rate and A by rate: whatever the constant, their mean is one half.
    assert found == pytest.approx(0.5)


def test_share_of_gain() -> None:
    found = m.share_of_gain(np.array([0.9, 0.6]), np.array([0.6, 0.6]), np.array([1.0, 1.0]))
    assert found == pytest.approx([0.75, 0.0])


GROUPS = np.repeat(np.arange(8), 50)
STORES = np.repeat([0, 1], 4)


@given(st.floats(0, 2), st.floats(-0.2, 0.2))
def test_spread_kept_is_the_slope_and_knows_no_stores_base_rate(slope: float, shift: float) -> None:
    random = np.random.default_rng(0)
    rates = random.random(8)
    real = rates[GROUPS]
    agent = slope * rates[GROUPS] + shift * STORES[GROUPS]
    found = m.spread_kept(GROUPS, STORES, real, agent, np.ones((1, len(GROUPS))))
    assert found == pytest.approx([slope], abs=1e-9)


def test_spread_kept_of_rates_that_do_not_differ_is_no_number() -> None:
    real = np.full(len(GROUPS), 0.5)
    assert np.isnan(m.spread_kept(GROUPS, STORES, real, real, np.ones((1, len(GROUPS))))).all()


def test_actions_become_carts_and_purchases() -> None:
    acted = Acted.of([[FIRST, LEAVE], [ADD, LEAVE], [ADD, PURCHASE, LEAVE]])
    assert acted.cart.tolist() == [0, 1, 1]
    assert acted.purchase.tolist() == [0, 0, 1]
