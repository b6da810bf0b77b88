"""Training rows come from the one fold; prefixes are what a shorter history gives."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.vector import VECTOR_SIZE
from feature_store.history.offline_fold import BuyerKey, fold_history
from feature_store.history.shards import Limits, shard_events
from tests.strategies import START, cuts, event, histories
from tests.training.conftest import synthetic_buyers
from training.encoder.dataset import BuyerVectors, describe_source, split_by_buyer, training_rows

PREFIXES = (1, 3, 5)
HOUR = 3_600_000


def visits(buyer: str, n: int) -> list[Event]:
    return [event(event_id=f"{buyer}{i}", buyer=buyer, timestamp=START + i * 1000) for i in range(n)]


def test_a_buyer_appears_whole_and_as_they_looked_earlier() -> None:
    data = training_rows([visits("b1", 4), visits("b2", 1)], PREFIXES)
    assert data.buyers == [("acme", "b1"), ("acme", "b2")]
    rows = list(zip(data.buyer.tolist(), data.vectors[:, 0].tolist(), data.whole.tolist(), strict=True))
    assert rows == [(0, 4.0, True), (1, 1.0, True), (0, 1.0, False), (0, 3.0, False)]


@given(st.data())
def test_rows_are_the_folds_of_shorter_histories(data: st.DataObject) -> None:
    events = data.draw(histories())
    made = training_rows(cuts(data.draw, events), PREFIXES)
    expected = slowly(events)
    assert made.whole.tolist() == [True] * len(made.buyers) + [False] * (len(expected) - len(made.buyers))
    assert {
        (made.buyers[b], int(v[0])): v.tolist() for b, v in zip(made.buyer, made.vectors, strict=True)
    } == {key: vector.tolist() for key, (vector, _) in expected.items()}
    assert len(made.vectors) == len(expected)
    for i, end in enumerate(made.session_end.tolist()):
        key = (made.buyers[made.buyer[i]], int(made.vectors[i, 0]))
        assert (made.buyers[made.buyer[end]], int(made.vectors[end, 0])) == (key[0], expected[key][1])


def slowly(events: list[Event]) -> dict[tuple[BuyerKey, int], tuple[NDArray[np.float32], int]]:
    """(buyer, events) -> (vector, events at the end of that session), one fold for every length."""
    whole = fold_history([events])
    sizes = whole.vectors()[:, 0].astype(int).tolist() if events else []
    after: dict[BuyerKey, list[NDArray[np.float32]]] = {buyer: [] for buyer in whole.buyers}
    for n in range(1, max(sizes, default=0) + 1):
        early = fold_history([events], prefix=n)
        for buyer, size, vector in zip(early.buyers, sizes, early.vectors(), strict=True):
            if size >= n:
                after[buyer].append(vector)
    rows = {}
    for buyer, vectors in after.items():
        sessions = np.array([vector[1] for vector in vectors])
        ends = [int(np.flatnonzero(sessions == session)[-1]) for session in sessions]
        taken = {n - 1 for n in PREFIXES if n <= len(vectors)}
        for i in {len(vectors) - 1} | taken | {ends[i] for i in taken}:
            rows[buyer, i + 1] = (vectors[i], ends[i] + 1)
    return rows


def test_a_prefix_knows_how_its_session_ended() -> None:
    later = [event(event_id=f"l{i}", buyer="b1", timestamp=START + HOUR + i) for i in range(2)]
    data = training_rows([visits("b1", 4)[:2], visits("b1", 4)[2:] + later], PREFIXES)
    events = data.vectors[:, 0].astype(int)
    ends = dict(zip(events.tolist(), events[data.session_end].tolist(), strict=True))
    assert ends == {6: 6, 1: 4, 3: 4, 4: 4, 5: 6}


def test_a_landmark_holds_all_who_came_so_far() -> None:
    data = training_rows([visits("b1", 4) + visits("b2", 1) + visits("b3", 3)], PREFIXES)
    assert sorted(data.buyer[data.landmark(3)].tolist()) == [0, 2]
    assert len(data.landmark(1)) == 3


@given(st.data())
def test_rows_on_disk_are_the_rows_in_memory(data: st.DataObject) -> None:
    batches = cuts(data.draw, data.draw(histories()))
    limits = Limits(events=data.draw(st.integers(0, 60)), buyers=data.draw(st.integers(0, 3)))
    spilling = functools.partial(shard_events, shards=3, limits=limits)
    with TemporaryDirectory() as work, mock.patch("training.encoder.dataset.shard_events", spilling):
        on_disk, in_memory = training_rows(batches, PREFIXES, Path(work)), training_rows(batches, PREFIXES)
        assert by_name(on_disk) == by_name(in_memory)
        whole = on_disk.whole.tolist()
        assert whole == sorted(whole, reverse=True)
        assert on_disk.buyer[: sum(whole)].tolist() == list(range(len(on_disk.buyers)))


def by_name(data: BuyerVectors) -> dict[tuple[BuyerKey, int], tuple[list[float], bool, int]]:
    """(buyer, events) -> (vector, whole?, events at the end of that session)."""
    ends = data.vectors[data.session_end, 0].astype(int)
    return {
        (data.buyers[buyer], int(vector[0])): (vector.tolist(), bool(whole), end)
        for buyer, vector, whole, end in zip(data.buyer, data.vectors, data.whole, ends.tolist(), strict=True)
    }


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
