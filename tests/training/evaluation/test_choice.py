from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.errors import EvaluationError
from training.evaluation.choice import Sealed
from training.evaluation.points import TEST, VALIDATION
from training.evaluation.study import Inputs


def sealed(inputs: Inputs, folder: Path) -> Sealed:
    return Sealed({"full": inputs.full}, folder / "choice.json")


def test_test_buyers_cannot_be_had_before_a_choice(inputs: Inputs, tmp_path: Path) -> None:
    points = sealed(inputs, tmp_path)
    with pytest.raises(EvaluationError, match="stay closed"):
        points.open()
    open_part = points.validation()["full"]
    assert not (open_part.side == TEST).any()
    assert (open_part.side == VALIDATION).any()
    tested = set(inputs.full.where(TEST).tolist())
    names = {inputs.full.data.buyers[i] for i in tested}
    assert not names & set(open_part.data.buyers)
    points.fix({"candidates_digest": "a"})
    assert (points.open()["full"].side == TEST).any()


def test_the_first_opening_is_noted_and_kept(inputs: Inputs, tmp_path: Path) -> None:
    points = sealed(inputs, tmp_path)
    points.fix({"candidates_digest": "a"})
    assert "opened_at" not in points.read()
    points.open()
    first = points.read()["opened_at"]
    points.open()
    assert points.read()["opened_at"] == first


def test_no_second_choice_after_the_test_was_seen(inputs: Inputs, tmp_path: Path) -> None:
    points = sealed(inputs, tmp_path)
    points.fix({"candidates_digest": "a"})
    assert points.chosen("b") is None  # unseen yet: choose again
    points.open()
    assert points.chosen("a") is not None
    with pytest.raises(EvaluationError, match="new folder"):
        points.chosen("b")
    assert json.loads((tmp_path / "choice.json").read_text())["candidates_digest"] == "a"
