from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.lifecycle.align import align_codes, describe_alignment, profiles, same_share

K = 12


def points(rows: int = 600, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Codes int64 [n] and features float32 [n, 3]: clusters far apart."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, K, rows)
    centres = random.normal(size=(K, 3)) * 10
    return codes, (centres[codes] + random.normal(size=(rows, 3)) * 0.1).astype(np.float32)


@given(st.permutations(range(K)), st.integers(0, 5))
def test_a_renumbered_codebook_gets_its_numbers_back(order: list[int], seed: int) -> None:
    old, features = points(seed=seed)
    new = np.array(order)[old]
    alignment = align_codes(old, new, features, K)
    assert (alignment.numbers[new] == old).all()
    assert alignment.status == ["kept"] * K
    assert (alignment.successor == np.arange(K)).all()
    assert (alignment.shared == 1).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_the_numbers_are_a_permutation_that_keeps_no_fewer_rows_than_none(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    old, new = random.integers(0, K, rows), random.integers(0, K, rows)
    alignment = align_codes(old, new, random.normal(size=(rows, 3)).astype(np.float32), K)
    assert sorted(alignment.numbers) == list(range(K))
    assert same_share(old, alignment.numbers[new]) >= same_share(old, new)


def test_profiles_match_codes_that_share_no_row() -> None:
    """Half the rows are seen by one code of a pair, half by the other, and the numbers are crossed."""
    features = np.array([[0.0], [0.01], [50.0], [50.01], [100.0]], dtype=np.float32)
    old = np.array([0, 1, 2, 3, 4])
    new = np.array([4, 5, 6, 7, 8])
    alignment = align_codes(old, new, features, 9)
    assert alignment.numbers[new].tolist() == old.tolist()


def test_another_shopper_is_new_and_the_one_who_left_is_retired() -> None:
    old, features = points()
    old[np.flatnonzero(old == 3)[10:]] = 2
    new = np.where(old == 3, 4, old)  # code 3, of ten buyers, has none any more
    alignment = align_codes(old, new, features, K)
    assert alignment.status[3] == "retired"
    assert alignment.successor[3] == 4
    assert [status for i, status in enumerate(alignment.status) if i != 3] == ["kept"] * (K - 1)


def test_a_split_off_code_takes_a_number_that_nobody_had() -> None:
    old, features = points()
    new = np.where(old == 5, 4, old)  # nobody had 5
    split = (new == 4) & (np.arange(len(new)) % 4 == 0)
    features[split] += 30.0
    alignment = align_codes(new, np.where(split, 5, new), features, K)
    assert alignment.numbers.tolist() == list(range(K))
    assert alignment.status[5] == "new"
    assert alignment.status[4] == "kept"


def test_codes_that_nobody_has_stay_in_place_without_a_status() -> None:
    old, features = points()
    old = np.minimum(old, 8)
    alignment = align_codes(old, old, features, K)
    assert alignment.numbers.tolist() == list(range(K))
    assert alignment.status == ["kept"] * 9 + [None] * 3


def test_profiles_are_means() -> None:
    found = profiles(np.array([0, 0, 2]), np.array([[1.0], [3.0], [5.0]], dtype=np.float32), 3)
    assert found[[0, 2], 0].tolist() == [2.0, 5.0]
    assert np.isnan(found[1, 0])


def test_the_map_says_where_each_old_code_is() -> None:
    old, features = points()
    old[np.flatnonzero(old == 3)[10:]] = 2
    new = np.where(old == 3, 4, old)
    told = describe_alignment(align_codes(old, new, features, K), {"same_code": 0.5})
    assert told["same_code"] == pytest.approx(0.5)
    assert told["codes"][3] == {"old": 3, "new": None, "status": "retired", "successor": 4, "shared": 1.0}
    assert told["codes"][0]["new"] == 0
