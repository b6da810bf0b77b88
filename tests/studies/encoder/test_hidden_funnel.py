from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from feature_store.contract.events import Event
from feature_store.fold import vector
from feature_store.fold.funnel import strata
from feature_store.fold.vector import MASKS, SCALARS
from studies.encoder.hidden_funnel import hidden_columns, hidden_funnel, without_funnel
from studies.encoder.runs import NOT_SCALED
from studies.encoder.study import Inputs
from training.encoder import axes
from training.encoder.axes import EVENTS, FUNNEL_COLUMNS, MIN_EVENTS, MONEY_COLUMNS
from training.encoder.dataset import training_rows
from training.evaluation.points import Points

COLUMN = {scalar.name: i for i, scalar in enumerate(SCALARS)}


def test_hidden_rows_tell_of_the_funnel_in_its_own_columns_only(batches: list[list[Event]]) -> None:
    points = Points.of(training_rows(iter(batches)), seed=0, most=400)
    hidden = hidden_funnel(points, batches)
    place = {key: i for i, key in enumerate(points.data.buyers)}
    old = np.array([place[key] for key in hidden.data.buyers])
    seen = training_rows(without_funnel(batches), positions=())
    bare = dict(zip(seen.buyers, seen.vectors, strict=True))
    expected = np.stack([bare[key] for key in hidden.data.buyers])
    # What a study's encoder and baselines look at is the fold of the visible events, to the last column.
    assert (hidden_columns(hidden.data.vectors) == expected).all()
    assert (expected[:, MASKS.start + 1 :] == 0).all()
    assert (expected[:, EVENTS] >= MIN_EVENTS).all()
    assert (strata(hidden.data.vectors) == strata(points.whole(old))).all()
    assert (hidden.side == points.side[old]).all()
    assert len(set(strata(hidden.data.vectors))) > 2


def test_a_hidden_purchase_changes_no_visible_number(inputs: Inputs) -> None:
    bought = hidden_columns(inputs.hidden.data.vectors)[:, COLUMN["purchases"]]
    assert (bought == 0).all()


def test_the_columns_of_money_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more scalar behind them, say, moves nothing that is asked of the study."""
    assert {SCALARS[i].name for i in MONEY_COLUMNS} == {"cart_value", "order_value"}
    assert {*FUNNEL_COLUMNS, *MONEY_COLUMNS} == NOT_SCALED
    monkeypatch.setattr(vector, "SCALARS", (*SCALARS[-1:], *SCALARS[:-1]))
    spec = importlib.util.spec_from_file_location("axes_of_other_scalars", axes.__file__)
    assert spec is not None
    assert spec.loader is not None
    moved = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(moved)
    assert {vector.SCALARS[i].name for i in moved.MONEY_COLUMNS} == {"cart_value", "order_value"}
