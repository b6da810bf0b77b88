"""Training rows come from the one fold; an earlier row is what a shorter history gives."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import Event
from feature_store.fold.behavior import COUNTER
from feature_store.fold.vector import VECTOR_SIZE
from feature_store.history.offline_fold import BuyerKey, fold_history
from feature_store.history.shards import Limits, shard_events
from tests.strategies import START, cuts, event, histories
from tests.training.conftest import synthetic_buyers
from training.encoder.dataset import (
    MAX_SESSIONS,
    BuyerVectors,
    describe_source,
    split_by_buyer,
    training_rows,
)

POSITIONS = (1, 3, 5)
HOUR = 3_600_000


def visits(buyer: str, n: int) -> list[Event]:
    return [event(event_id=f"{buyer}{i}", buyer=buyer, timestamp=START + i * 1000) for i in range(n)]


def test_a_buyer_appears_whole_and_as_they_looked_earlier() -> None:
    data = training_rows([visits("b1", 4), visits("b2", 1)], positions=POSITIONS)
    assert data.buyers == [("acme", "b1"), ("acme", "b2")]
    rows = list(zip(data.buyer.tolist(), data.vectors[:, 0].tolist(), data.whole.tolist(), strict=True))
    assert rows == [(0, 4.0, True), (1, 1.0, True), (0, 1.0, False), (0, 3.0, False)]


@given(st.data())
def test_rows_are_the_folds_of_shorter_histories(data: st.DataObject) -> None:
    events = data.draw(histories())
    made = training_rows(cuts(data.draw, events), positions=POSITIONS)
    expected = slowly(events)
    assert made.whole.tolist() == [True] * len(made.buyers) + [False] * (len(expected) - len(made.buyers))
    assert {key: row.vector for key, row in by_name(made).items()} == {
        key: row.vector for key, row in expected.items()
    }
    assert by_name(made) == expected


class Row(NamedTuple):
    """What is known of a row; session ends as the buyer's number of events, 0 for none."""

    vector: list[float]
    position: int
    time: int
    session_end: int
    next_session_end: int


def slowly(events: list[Event]) -> dict[tuple[BuyerKey, int], Row]:
    """(buyer, events) -> row, one fold for every length."""
    whole = fold_history([events])
    sizes = whole.vectors()[:, 0].astype(int).tolist() if events else []
    after: dict[BuyerKey, list[tuple[list[float], int, int]]] = {buyer: [] for buyer in whole.buyers}
    for n in range(1, max(sizes, default=0) + 1):
        early = fold_history([events], prefix=n)
        counters = early.table.states.counters[early.table.rows()]
        times = counters[:, COUNTER["last_time"]].tolist()
        refunds = counters[:, COUNTER["refunds"]].tolist()
        for buyer, size, *state in zip(
            early.buyers, sizes, early.vectors().tolist(), times, refunds, strict=True
        ):
            if size >= n:
                after[buyer].append(tuple(state))
    rows = {}
    for buyer, states in after.items():
        sessions: list[list[int]] = []
        for i, (vector, _, _) in enumerate(states):
            if i == 0 or vector[1] != states[i - 1][0][1]:
                sessions.append([])
            sessions[-1].append(i)
        kept = sessions[-MAX_SESSIONS:]
        for session, following in zip(kept, [*kept[1:], [-1]], strict=True):
            position = 0
            for i in session:
                is_act = states[i][2] == (states[i - 1][2] if i else 0)
                position += is_act
                taken = is_act and position in POSITIONS
                if taken or i == session[-1]:
                    vector, time, _ = states[i]
                    rows[buyer, i + 1] = Row(
                        vector, position if taken else -1, time, session[-1] + 1, following[-1] + 1
                    )
    return rows


def test_a_row_knows_how_its_session_and_the_next_one_ended() -> None:
    later = [event(event_id=f"l{i}", buyer="b1", timestamp=START + HOUR + i) for i in range(2)]
    data = training_rows([visits("b1", 4)[:2], visits("b1", 4)[2:] + later], positions=POSITIONS)
    events = data.vectors[:, 0].astype(int).tolist()
    ends = dict(zip(events, (row.session_end for row in by_name(data).values()), strict=True))
    assert ends == {6: 6, 1: 4, 3: 4, 4: 4, 5: 6}
    following = dict(zip(events, (row.next_session_end for row in by_name(data).values()), strict=True))
    assert following == {6: 0, 1: 6, 3: 6, 4: 6, 5: 0}
    assert dict(zip(events, data.position.tolist(), strict=True)) == {6: -1, 1: 1, 3: 3, 4: -1, 5: 1}


def test_rows_are_of_the_latest_sessions_of_a_buyer() -> None:
    events = [
        event(event_id=f"s{s}e{i}", buyer="b1", timestamp=START + s * HOUR + i)
        for s in range(MAX_SESSIONS + 3)
        for i in range(2)
    ]
    data = training_rows([events])
    assert sorted(set(data.vectors[:, 1].tolist())) == list(range(4, MAX_SESSIONS + 4))
    assert len(data.vectors) == 2 * MAX_SESSIONS


def test_a_landmark_holds_all_who_came_so_far() -> None:
    data = training_rows([visits("b1", 4) + visits("b2", 1) + visits("b3", 3)], positions=POSITIONS)
    assert sorted(data.buyer[data.landmark(3)].tolist()) == [0, 2]
    assert len(data.landmark(1)) == 3


@given(st.data())
def test_rows_on_disk_are_the_rows_in_memory(data: st.DataObject) -> None:
    batches = cuts(data.draw, data.draw(histories()))
    limits = Limits(events=data.draw(st.integers(0, 60)), buyers=data.draw(st.integers(0, 3)))
    spilling = functools.partial(shard_events, shards=3, limits=limits)
    with TemporaryDirectory() as work, mock.patch("training.encoder.dataset.shard_events", spilling):
        on_disk = training_rows(batches, positions=POSITIONS, work=Path(work))
        assert by_name(on_disk) == by_name(training_rows(batches, positions=POSITIONS))
        whole = on_disk.whole.tolist()
        assert whole == sorted(whole, reverse=True)
        assert on_disk.buyer[: sum(whole)].tolist() == list(range(len(on_disk.buyers)))


def by_name(data: BuyerVectors) -> dict[tuple[BuyerKey, int], Row]:
    """(buyer, events) -> row."""
    events = [*data.vectors[:, 0].astype(int).tolist(), 0]
    columns = (data.buyer, data.vectors, data.position, data.time, data.session_end, data.next_session_end)
    return {
        (data.buyers[buyer], int(vector[0])): Row(vector, position, time, events[end], events[following])
        for buyer, vector, position, time, end, following in zip(
            *(column.tolist() for column in columns), strict=True
        )
    }


def test_no_event_gives_no_row() -> None:
    assert training_rows([]).vectors.shape == (0, VECTOR_SIZE)


def test_no_buyer_is_on_both_sides_of_the_split() -> None:
    data = training_rows([visits(f"b{i}", 1 + i % 7) for i in range(60)])
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
