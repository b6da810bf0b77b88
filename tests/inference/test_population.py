"""Populations: draws follow p_s(k), small stores lean on all stores, the same seed gives the same tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from inference.errors import SamplingError
from inference.population import PRIOR_BUYERS, draw_codes, only_codes, store_mix, tokens

NOBODY = np.zeros(256, dtype=np.int64)


def counts(seed: int, buyers: int) -> NDArray[np.int64]:
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(256, 0.3))
    return np.bincount(random.choice(256, buyers, p=shares), minlength=256).astype(np.int64)


@pytest.mark.parametrize("seed", range(5))
def test_frequencies_converge_to_the_mix(seed: int) -> None:
    mix = store_mix(counts(seed, 3000), counts(99, 20_000))
    n = 400_000
    drawn = np.bincount(draw_codes(mix, n, seed), minlength=256)
    common = mix.shares * n >= 5  # what chi-square needs; the rest is one cell, or nothing
    rest = mix.shares[~common].sum() * n
    assert abs(drawn[~common].sum() - rest) < 5 + 5 * np.sqrt(rest)
    expected = mix.shares[common] / mix.shares[common].sum() * drawn[common].sum()
    assert chisquare(drawn[common], expected).pvalue > 1e-4


def test_another_mix_is_told_apart() -> None:
    """The test above could fail: against another store's mix, the same draws do not pass."""
    mix = store_mix(counts(1, 3000), counts(99, 20_000))
    other = store_mix(counts(2, 3000), np.ones(256, np.int64)).shares
    drawn = np.bincount(draw_codes(mix, 10_000, 0), minlength=256)
    assert chisquare(drawn, other * drawn.sum()).pvalue < 1e-9


@given(st.integers(0, 2**32), st.integers(0, 300), st.integers(0, 300))
def test_the_same_seed_draws_the_same_and_a_longer_draw_goes_on(seed: int, n: int, more: int) -> None:
    mix = store_mix(counts(1, 500), counts(2, 5000))
    drawn = draw_codes(mix, n, seed)
    assert (drawn == draw_codes(mix, n + more, seed)[:n]).all()
    assert tokens(drawn) == [f"<|persona_{code}|>" for code in drawn]


def test_seeds_differ() -> None:
    mix = store_mix(counts(1, 500), counts(2, 5000))
    assert (draw_codes(mix, 200, 0) != draw_codes(mix, 200, 1)).any()


def test_a_code_that_nobody_has_is_never_drawn() -> None:
    own = NOBODY.copy()
    own[[0, 7, 255]] = 1, 5, 3
    drawn = draw_codes(store_mix(own, own), 50_000, 3)
    assert set(drawn.tolist()) == {0, 7, 255}


@given(st.integers(0, 2**31), st.integers(0, 5000), st.integers(1, 5000))
def test_a_mix_is_a_distribution_between_its_own_and_the_pooled(seed: int, own: int, everyone: int) -> None:
    store, pooled = counts(seed, own), counts(seed + 1, everyone)
    mix = store_mix(store, pooled)
    assert mix.shares.sum() == pytest.approx(1)
    assert mix.pooled_share == PRIOR_BUYERS / (own + PRIOR_BUYERS)
    low = np.minimum(store / max(own, 1), pooled / everyone) if own else pooled / everyone
    high = np.maximum(store / max(own, 1), pooled / everyone) if own else pooled / everyone
    assert (mix.shares >= low - 1e-12).all()
    assert (mix.shares <= high + 1e-12).all()


def test_the_own_mix_wins_with_buyers() -> None:
    own, pooled = counts(1, 1), counts(2, 10_000)
    distances = [np.abs(store_mix(own * n, pooled).shares - own / own.sum()).sum() for n in (1, 100, 10_000)]
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 0.03
    assert "1 buyers of this store; 99% of the mix" in store_mix(own, pooled).note


def test_an_unknown_store_has_the_pooled_mix_and_says_so() -> None:
    pooled = counts(2, 10_000)
    mix = store_mix(NOBODY, pooled)
    assert np.allclose(mix.shares, pooled / 10_000)
    assert (mix.buyers, mix.pooled_share) == (0, 1.0)
    assert mix.note == "no buyer of this store was counted: this is the mix of all stores"


def test_a_filter_keeps_the_proportions_of_its_codes() -> None:
    mix = store_mix(counts(1, 3000), counts(2, 5000))
    codes = [3, 50, 200]
    some = only_codes(mix, codes)
    assert some.shares[codes] / some.shares[codes].sum() == pytest.approx(
        mix.shares[codes] / mix.shares[codes].sum()
    )
    assert set(draw_codes(some, 10_000, 0).tolist()) <= set(codes)


def test_nobody_cannot_be_sampled() -> None:
    with pytest.raises(SamplingError, match="no buyer was counted yet"):
        store_mix(NOBODY, NOBODY)
    alone = NOBODY.copy()
    alone[4] = 9
    with pytest.raises(SamplingError, match="nothing to draw from"):
        only_codes(store_mix(alone, alone), [5, 6])
