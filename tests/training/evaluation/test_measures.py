from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import calinski_harabasz_score, cohen_kappa_score, recall_score, roc_auc_score

from training.evaluation import measures as m

N = 400


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def once(values: np.ndarray) -> np.ndarray:
    return m.once(len(values))


def test_calinski_harabasz_is_sklearns(random: np.random.Generator) -> None:
    points, codes = random.normal(size=(N, 5)), random.integers(0, 9, N)
    points[:, 0] += codes
    ours = m.calinski_harabasz(points, codes, once(codes))[0]
    assert ours == pytest.approx(calinski_harabasz_score(points, codes))


def test_calinski_harabasz_is_not_inflated_by_buyers_drawn_twice(random: np.random.Generator) -> None:
    codes = random.integers(0, 100, 1000)
    points = random.normal(size=(1000, 4)) + random.normal(size=(100, 4))[codes]
    drawn = random.integers(0, 1000, (60, 1000))
    weights = np.stack([np.bincount(row, minlength=1000) for row in drawn]).astype(float)
    real = calinski_harabasz_score(points, codes)
    copies = np.mean([calinski_harabasz_score(points[row], codes[row]) for row in drawn])
    weighted = m.calinski_harabasz(points, codes, weights).mean()
    assert copies > 1.1 * real
    assert weighted == pytest.approx(real, rel=0.05)


def test_weights_count_as_copies(random: np.random.Generator) -> None:
    weights = random.integers(1, 4, N).astype(float)
    copies = np.repeat(np.arange(N), weights.astype(int))
    codes, labels = random.integers(0, 5, N), random.integers(0, 4, N)
    scores = random.normal(size=N).round(1)
    positive = random.random(N) < 0.3
    w, plain = weights[None], m.once(len(copies))
    for ours, theirs in [
        (m.accuracy(codes, labels, w), m.accuracy(codes[copies], labels[copies], plain)),
        (m.macro_recall(codes, labels, 5, w), m.macro_recall(codes[copies], labels[copies], 5, plain)),
        (m.perplexity(codes, w), m.perplexity(codes[copies], plain)),
        (m.kappa(codes, labels, w), m.kappa(codes[copies], labels[copies], plain)),
        (m.auc(scores, positive, w), m.auc(scores[copies], positive[copies], plain)),
        (m.cohens_d(labels, scores, w), m.cohens_d(labels[copies], scores[copies], plain)),
    ]:
        assert ours == pytest.approx(theirs)


def test_auc_kappa_and_recall_are_sklearns(random: np.random.Generator) -> None:
    scores = random.normal(size=N).round(1)  # ties
    positive = random.random(N) < 1 / (1 + np.exp(-scores))
    assert m.auc(scores, positive, once(scores))[0] == pytest.approx(roc_auc_score(positive, scores))
    actual = random.integers(0, 4, N)
    said = np.where(random.random(N) < 0.5, actual, random.integers(0, 4, N))
    assert m.kappa(said, actual, once(said))[0] == pytest.approx(cohen_kappa_score(said, actual))
    expected = recall_score(actual, said, average="macro")
    assert m.macro_recall(said, actual, 4, once(said))[0] == pytest.approx(expected)


def test_auc_without_one_kind_is_nan() -> None:
    assert np.isnan(m.auc(np.array([0.1, 0.2]), np.array([True, True]), m.once(2))[0])


def test_purity_by_hand() -> None:
    learned, labels = np.array([0, 0, 0, 1, 1]), np.array([3, 3, 0, 1, 1])
    majority = m.majorities(learned, labels, 4, 3)
    assert majority.tolist() == [3, 1, 1]  # no training buyer has code 2: the commonest of all
    purity = m.accuracy(majority[np.array([0, 1, 1, 2])], np.array([3, 1, 0, 1]), m.once(4))[0]
    assert purity == 0.75


def test_incoherence_by_hand() -> None:
    codes = np.repeat([0, 1, 2, 3], [20, 20, 20, 9])
    levels = np.concatenate(
        [
            [0] * 2 + [1] * 16 + [2] * 2,  # both ends hold a tenth: mixed
            [0] * 1 + [1] * 4 + [2] * 15,  # one stray low buyer
            [1] * 20,
            [0] * 5 + [2] * 4,  # mixed, but of fewer than ten buyers: does not count
        ]
    )
    assert m.incoherence(codes, levels, once(codes))[0] == pytest.approx(1 / 3)
    assert np.isnan(m.incoherence(codes[:5], levels[:5], m.once(5))[0])


def test_jensen_shannon_by_hand() -> None:
    assert m.jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(np.log(2))
    half = m.jensen_shannon(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    assert half == pytest.approx(0.5 * (np.log(4 / 3) + 0.5 * np.log(2 / 3) + 0.5 * np.log(2)))


def test_a_store_of_training_buyers_is_rebuilt_exactly_by_pure_codes() -> None:
    codes = np.array([0] * 30 + [1] * 10)
    strata = np.array([3] * 30 + [0] * 10)
    mixes = m.stratum_mixes(codes, strata, 4, 2)
    assert m.funnel_divergence(mixes[codes], strata, once(codes))[0] < 1e-3
    everyone_looks = np.tile([0.0, 0.0, 0.0, 1.0], (40, 1))
    assert m.funnel_divergence(everyone_looks, strata, once(codes))[0] > 0.05


def test_cohens_d_by_hand() -> None:
    group = np.array([0, 0, 1, 2, 2])
    values = np.array([0.0, 2.0, 9.0, 4.0, 6.0])
    assert m.cohens_d(group, values, m.once(5))[0] == pytest.approx(4.0 / np.sqrt(2.0))
    assert m.cohens_d(np.array([0, 0]), np.array([1.0, 2.0]), m.once(2))[0] == 0.0


def test_thirds_keep_a_code_whole_and_no_end_empty() -> None:
    reference = np.array([0.0] * 80 + [1.0] * 20)  # most codes have the same score
    assert set(m.thirds(reference, reference).tolist()) == {0, 2}
    spread = np.arange(9.0)
    assert m.thirds(spread, spread).tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2]


def test_calibration_by_hand() -> None:
    sure = np.array([0.9] * 10 + [0.6] * 10)
    right = np.array([True] * 9 + [False] + [True] * 3 + [False] * 7)
    counts, said, was = m.reliability(sure, right, bins=2)
    assert counts.tolist() == [10, 10]
    assert said == pytest.approx([0.6, 0.9])
    assert was == pytest.approx([0.3, 0.9])
    assert m.calibration_error(sure, right, bins=2) == pytest.approx(0.15)
    assert m.brier(sure, right, m.once(20))[0] == pytest.approx((9 * 0.01 + 0.81 + 3 * 0.16 + 7 * 0.36) / 20)


codes_and_labels = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(0, 7)), arrays(np.int64, n, elements=st.integers(0, 3))
    )
)


@given(codes_and_labels, st.permutations(range(8)))
def test_names_of_codes_do_not_matter(pair: tuple[np.ndarray, np.ndarray], names: list[int]) -> None:
    codes, labels = pair
    renamed = np.array(names)[codes]
    weights = m.once(len(codes))
    levels = labels % 3
    points = labels[:, None].astype(float)
    for measure in (
        lambda c: m.accuracy(m.majorities(c, labels, 4, 8)[c], labels, weights),
        lambda c: m.incoherence(c, levels, weights, least=2),
        lambda c: m.perplexity(c, weights),
        lambda c: m.calinski_harabasz(points, c, weights),
        lambda c: m.funnel_divergence(m.stratum_mixes(c, labels, 4, 8)[c], labels, weights),
    ):
        assert measure(renamed) == pytest.approx(measure(codes), nan_ok=True)


@given(codes_and_labels)
def test_purity_is_at_least_that_of_one_code(pair: tuple[np.ndarray, np.ndarray]) -> None:
    codes, labels = pair
    weights = m.once(len(codes))
    pure = m.accuracy(m.majorities(codes, labels, 4, 8)[codes], labels, weights)[0]
    assert pure >= np.bincount(labels).max() / len(labels) - 1e-12


mixes = arrays(np.float64, 4, elements=st.floats(0, 1)).filter(lambda mix: mix.sum() > 1e-6)


@given(mixes, mixes)
@example(np.array([1.0, 0.0, 0.0, 0.0]), np.array([1.0, 5e-324, 0.0, 0.0]))
def test_jensen_shannon_is_a_divergence(p: np.ndarray, q: np.ndarray) -> None:
    p, q = p / p.sum(), q / q.sum()
    js = m.jensen_shannon(p, q)
    assert 0 <= js <= np.log(2) + 1e-12
    assert js == pytest.approx(m.jensen_shannon(q, p))
    assert m.jensen_shannon(p, p) == pytest.approx(0, abs=1e-12)


@given(arrays(np.int64, 50, elements=st.integers(0, 9)))
def test_perplexity_lies_between_one_and_the_codes_used(codes: np.ndarray) -> None:
    assert 1 - 1e-9 <= m.perplexity(codes, m.once(50))[0] <= len(np.unique(codes)) + 1e-9


def test_exact_thirds_are_thirds_whatever_the_codes() -> None:
    random = np.random.default_rng(0)
    for sizes in ([50, 30, 20], [5] * 20, [97, 2, 1], [100]):
        scores = np.repeat(random.permutation(len(sizes)).astype(float), sizes)
        shares = m.exact_thirds(scores, scores)
        np.testing.assert_allclose(shares.sum(axis=1), 100 / 3)
        assert (shares.sum(axis=0) <= 1 + 1e-12).all()


def test_exact_thirds_agree_with_thirds_where_codes_fill_them() -> None:
    scores = np.repeat([0.0, 1.0, 2.0], 4)
    values = np.random.default_rng(1).normal(size=12) + scores
    whole, exact = m.thirds(scores, scores), m.exact_thirds(scores, scores)
    assert m.cohens_d(whole, values, m.once(12)) == pytest.approx(
        m.cohens_d_of_shares(exact, values, m.once(12))
    )
