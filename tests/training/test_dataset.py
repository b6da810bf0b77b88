"""Training rows come from the one fold; prefixes are what a shorter history gives."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_store.events import Event
from feature_store.history import fold_history
from feature_store.vector import VECTOR_SIZE
from tests.strategies import START, cuts, event, histories
from tests.training.conftest import synthetic_buyers
from training.dataset import describe_source, split_by_buyer, training_rows

PREFIXES = (1, 3, 5)


def visits(buyer: str, n: int) -> list[Event]:
    return [event(event_id=f"{buyer}{i}", buyer=buyer, timestamp=START + i * 1000) for i in range(n)]


def test_a_buyer_appears_whole_and_as_they_looked_earlier() -> None:
    data = training_rows([visits("b1", 4), visits("b2", 1)], PREFIXES)
    assert data.buyers == [("acme", "b1"), ("acme", "b2")]
    rows = list(zip(data.buyer.tolist(), data.vectors[:, 0].tolist(), data.whole.tolist(), strict=True))
    assert rows == [(0, 4.0, True), (1, 1.0, True), (0, 1.0, False), (0, 3.0, False)]


@given(st.data())
def test_each_prefix_row_is_the_fold_of_the_shorter_history(data: st.DataObject) -> None:
    events = data.draw(histories())
    made = training_rows(cuts(data.draw, events), PREFIXES)
    whole = fold_history([events])
    expected = list(whole.vectors()) if events else []
    keys = list(whole.buyers)
    for prefix in PREFIXES:
        early = fold_history([events], prefix=prefix)
        for i, vector in enumerate(early.vectors() if events else ()):
            if expected[i][0] > prefix:
                assert vector[0] == prefix
                expected.append(vector)
                keys.append(early.buyers[i])
    assert np.array_equal(made.vectors, np.array(expected, dtype=np.float32).reshape(-1, VECTOR_SIZE))
    assert [made.buyers[i] for i in made.buyer] == keys
    assert made.whole.sum() == len(made.buyers)


def test_no_event_gives_no_row() -> None:
    assert training_rows([], PREFIXES).vectors.shape == (0, VECTOR_SIZE)


def test_no_buyer_is_on_both_sides_of_the_split() -> None:
    data = training_rows([visits(f"b{i}", 1 + i % 7) for i in range(60)], PREFIXES)
    train, held_out = split_by_buyer(data, 0.2, seed=3)
    assert sorted([*train, *held_out]) == list(range(len(data.vectors)))
    assert not set(data.buyer[train]) & set(data.buyer[held_out])
    assert len(set(data.buyer[held_out])) == 12


def test_the_split_depends_on_the_seed_alone() -> None:
    data = synthetic_buyers(100)
    assert np.array_equal(split_by_buyer(data, 0.1, 1)[1], split_by_buyer(data, 0.1, 1)[1])
    assert not np.array_equal(split_by_buyer(data, 0.1, 1)[1], split_by_buyer(data, 0.1, 2)[1])


def test_a_source_is_told_by_name_events_and_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"x")
    assert describe_source(path, 5) == f"a.ndjson, 5 events, sha256 {hashlib.sha256(b'x').hexdigest()}"
