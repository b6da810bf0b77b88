from __future__ import annotations

import numpy as np

from feature_store.contract.events import Event
from feature_store.fold.funnel import strata
from training.encoder.axes import EVENTS, FUNNEL_COLUMNS, MIN_EVENTS
from training.encoder.dataset import training_rows
from training.evaluation.points import (
    SHARES,
    TEST,
    TRAIN,
    VALIDATION,
    Points,
    select,
)


def points_of(batches: list[list[Event]]) -> Points:
    return Points.of(training_rows(iter(batches)), seed=0, most=400)


def test_each_judged_buyer_has_three_events_and_one_side(batches: list[list[Event]]) -> None:
    points = points_of(batches)
    whole = points.whole(np.arange(len(points.side)))
    assert (whole[:, EVENTS] >= MIN_EVENTS).all()
    assert points.data.whole[: len(whole)].all()
    for index in range(len(points.stores)):
        sides = np.bincount(points.side[points.store == index], minlength=3)
        assert sides.sum() <= 400
        assert np.abs(sides / sides.sum() - SHARES).max() < 0.01
    assert not set(points.where(TRAIN)) & set(points.where(TEST))


def test_the_split_is_the_same_every_time(batches: list[list[Event]]) -> None:
    first, again = points_of(batches), points_of(batches)
    assert first.data.buyers == again.data.buyers
    assert (first.side == again.side).all()


def test_selected_rows_stay_with_their_buyer_and_session(batches: list[list[Event]]) -> None:
    points = points_of(batches)
    data, kept = points.data, points.where(VALIDATION)
    chosen = select(data, kept)
    assert chosen.buyers == [data.buyers[i] for i in kept]
    rows = np.flatnonzero(np.isin(data.buyer, kept))
    assert (chosen.vectors == data.vectors[rows]).all()
    assert (chosen.vectors[chosen.session_end] == data.vectors[data.session_end[rows]]).all()


def test_a_landmark_knows_nothing_of_the_funnel(batches: list[list[Event]]) -> None:
    points = points_of(batches)
    rows = points.data.vectors[points.landmark(3)]
    assert (rows[:, EVENTS] == 3).all()
    assert (strata(rows) == 3).all()
    assert (rows[:, list(FUNNEL_COLUMNS)] == 0).all()
