"""The measures: against scipy, and against what they promise of chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency

from inference.bundles.reference import SPANS_MS, Reference
from inference.counts.profile import FEATURE, YOUNG, YOUNG_BELOW, Counts, empty_profile, young
from ops.drift.measures import (
    cells,
    compare,
    health,
    homogeneity,
    jensen_shannon,
    like_with_like,
    perplexity,
    psi,
)
from ops.drift.settings import DriftSettings

thick = st.lists(st.tuples(st.integers(5, 500), st.integers(5, 500)), min_size=2, max_size=20).map(
    lambda pairs: (np.array([a for a, _ in pairs]), np.array([b for _, b in pairs]))
)
counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=40).map(
    lambda pairs: (np.array([a for a, _ in pairs]), np.array([b for _, b in pairs]))
)


@given(thick)
def test_the_test_is_scipys_and_dispersion_divides_its_statistic(pair: tuple[Counts, Counts]) -> None:
    live, reference = pair
    expected = chi2_contingency(np.stack([live, reference]), correction=False)
    assert homogeneity(live, reference, 1.0) == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert homogeneity(live, reference, 2.0) >= homogeneity(live, reference, 1.0)


@given(thick)
def test_jensen_shannon_is_scipys_of_the_smoothed_shares(pair: tuple[Counts, Counts]) -> None:
    live, reference = pair
    expected = jensenshannon(live + 0.5, reference + 0.5, base=2) ** 2
    assert jensen_shannon(live, reference) == pytest.approx(expected, abs=1e-9)


@given(counts)
def test_distances_are_symmetric_bounded_and_zero_for_the_same(pair: tuple[Counts, Counts]) -> None:
    live, reference = pair
    assert psi(live, reference) == pytest.approx(psi(reference, live))
    assert psi(live, reference) >= 0
    assert 0 <= jensen_shannon(live, reference) <= 1
    assert psi(live, live) == 0
    assert jensen_shannon(live, live) == 0


@given(counts)
def test_cells_keep_every_vote(pair: tuple[Counts, Counts]) -> None:
    live, reference = cells(*pair)
    assert (live.sum(), reference.sum()) == (pair[0].sum(), pair[1].sum())
    assert (live + reference > 0).all()


def profile_of(rng: np.random.Generator, votes: int, shares: np.ndarray) -> Counts:
    profile = empty_profile()
    for name in ("codes", "purchases", "carts", "searches"):
        feature = FEATURE[name]
        profile[feature.cells] = rng.multinomial(votes, shares[: feature.size] / shares[: feature.size].sum())
    return profile


def test_independent_votes_of_one_population_are_seldom_called_different() -> None:
    """400 looks at four features each: at q 0.05 Benjamini and Hochberg promise a twentieth of the looks."""
    rng = np.random.default_rng(5)
    shares = rng.dirichlet(np.ones(256))
    reference = Reference(profile_of(rng, 200_000, shares), {}, {span: {} for span in SPANS_MS})
    alarms = 0
    for _ in range(400):
        live = {None: profile_of(rng, 300, shares)}
        alarms += any(shift.q < 0.05 for shift in compare(live, reference, SPANS_MS[0], 50))
    assert alarms <= 40  # 20 expected; 40 is beyond four standard deviations


def test_chance_explains_the_psi_of_one_population() -> None:
    rng = np.random.default_rng(6)
    shares = rng.dirichlet(np.ones(256))
    reference = Reference(profile_of(rng, 200_000, shares), {}, {span: {} for span in SPANS_MS})
    found = [compare({None: profile_of(rng, 500, shares)}, reference, SPANS_MS[0], 50)[0] for _ in range(50)]
    assert {shift.feature for shift in found} == {"codes"}
    assert np.mean([shift.psi for shift in found]) == pytest.approx(
        np.mean([shift.psi_chance for shift in found]), rel=0.2
    )


def test_a_shift_is_large_and_no_chance_in_its_store_alone() -> None:
    rng = np.random.default_rng(7)
    shares, other = rng.dirichlet(np.ones(256)), rng.dirichlet(np.ones(256))
    pooled = profile_of(rng, 100_000, shares)
    reference = Reference(pooled, {"quiet": pooled, "moved": pooled}, {})
    live = {"quiet": profile_of(rng, 1_000, shares), "moved": profile_of(rng, 1_000, other)}
    shifts = compare(live, reference, SPANS_MS[0], 50)
    assert {s.store for s in shifts if s.q < 0.001 and s.excess > 0.2} == {"moved"}


def test_too_few_votes_say_nothing() -> None:
    rng = np.random.default_rng(8)
    shares = rng.dirichlet(np.ones(256))
    reference = Reference(profile_of(rng, 1_000, shares), {}, {})
    assert compare({None: profile_of(rng, 49, shares)}, reference, SPANS_MS[0], 50) == []
    assert compare({None: empty_profile()}, reference, SPANS_MS[0], 50) == []


def test_health_tells_perplexity_and_dead_codes() -> None:
    live, reference = empty_profile(), empty_profile()
    codes = FEATURE["codes"].cells.start
    live[codes : codes + 4] = 25
    reference[codes : codes + 5] = 20
    found = health(live, reference, DriftSettings.signals())
    assert found.perplexity == pytest.approx(4)
    assert found.dead_codes == 1
    assert found.buyers == 100
    assert {share.value for share in found.shares.values()} == {0.0}
    assert perplexity(np.zeros(256, np.int64)) == 0


PURCHASES = FEATURE["purchases"]


def of_ages(rng: np.random.Generator, votes: list[int], chances: list[float]) -> Counts:
    """A profile with votes of each age, of which a share has bought."""
    profile = empty_profile()
    for age, (n, chance) in enumerate(zip(votes, chances, strict=True)):
        bought = rng.binomial(n, chance)
        for cell, count in ((0, n - bought), (1, bought)):
            profile[PURCHASES.cells.start + cell] += count
            if age < len(YOUNG_BELOW):
                profile[young(PURCHASES, age).start + cell] += count
    return profile


def test_young_buyers_are_compared_with_young_buyers() -> None:
    """A shop's first hour: nearly all are young, in the reference nearly nobody. Each age does as before."""
    rng, chances = np.random.default_rng(1), [0.0, 0.02, 0.2, 0.6]
    known = of_ages(rng, [2_000, 4_000, 9_000, 60_000], chances)
    first_hour = of_ages(rng, [300, 500, 200, 10], chances)
    (kept,) = compare({None: first_hour}, Reference(known, {}, {}), SPANS_MS[0], 50)
    assert kept.q > 0.001
    assert kept.excess < 0.02
    known[YOUNG:] = 0  # a reference of an earlier release
    (found,) = compare({None: first_hour}, Reference(known, {}, {}), SPANS_MS[0], 50)
    assert found.excess > 0.5


def test_a_shift_among_the_young_is_seen_though_all_ages_together_look_the_same() -> None:
    rng = np.random.default_rng(2)
    known = of_ages(rng, [20_000, 20_000, 20_000, 20_000], [0.0, 0.0, 0.1, 0.7])
    live = of_ages(rng, [0, 0, 2_000, 0], [0.0, 0.0, 0.2, 0.7])
    (shift,) = compare({None: live}, Reference(known, {}, {}), SPANS_MS[0], 50)
    assert shift.q < 1e-6
    expected = like_with_like(live, known, PURCHASES)[1]
    assert expected[1] / expected.sum() == pytest.approx(0.1, abs=0.01)


def test_votes_of_an_age_that_the_reference_never_met_are_left_out() -> None:
    rng = np.random.default_rng(3)
    known = of_ages(rng, [0, 0, 0, 500], [0.0, 0.0, 0.0, 0.5])
    live = of_ages(rng, [0, 0, 200, 100], [0.0, 0.0, 0.0, 0.5])
    known[young(PURCHASES, 0).start] += 3  # it did count ages
    known[PURCHASES.cells.start] += 3
    mine, theirs = like_with_like(live, known, PURCHASES)
    assert (mine.sum(), theirs.sum()) == (100, 500)
    nobody = like_with_like(of_ages(rng, [0, 9, 0, 0], [0.0] * 4), known, PURCHASES)
    assert not nobody[0].any()
    assert not nobody[1].any()
