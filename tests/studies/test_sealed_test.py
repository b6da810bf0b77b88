"""The seal on the test buyers, and the file that opens it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studies.sealed_test import Choice
from training.errors import EvaluationError

ONE, OTHER = [Path("runs/a.bin")], [Path("runs/b.bin")]


def never() -> dict[str, Any]:
    raise AssertionError("chosen again")


def test_test_buyers_cannot_be_had_before_a_choice(tmp_path: Path) -> None:
    choice = Choice(tmp_path / "choice.json")
    for ask in (choice.require_open, choice.open):
        with pytest.raises(EvaluationError, match="stay closed"):
            ask()
    choice.among(ONE, "the best", lambda: {"chosen": 1})
    with pytest.raises(EvaluationError, match="stay closed"):
        choice.require_open()
    choice.open()
    choice.require_open()


def test_a_process_that_did_not_open_the_seal_sees_it_closed(tmp_path: Path) -> None:
    first = Choice(tmp_path / "choice.json")
    first.among(ONE, "the best", lambda: {"chosen": 1})
    first.open()
    with pytest.raises(EvaluationError, match="stay closed"):
        Choice(tmp_path / "choice.json").require_open()


def test_a_choice_is_made_once_and_says_its_rule(tmp_path: Path) -> None:
    choice = Choice(tmp_path / "work" / "choice.json")
    made = choice.among(ONE, "the best", lambda: {"chosen": 1})
    assert (made["rule"], made["chosen"], list(made)[-1]) == ("the best", 1, "fixed_at")
    assert Choice(tmp_path / "work" / "choice.json").among(ONE, "the best", never) == made


def test_the_first_opening_is_noted_and_kept(tmp_path: Path) -> None:
    choice = Choice(tmp_path / "choice.json")
    choice.among(ONE, "the best", lambda: {"chosen": 1})
    assert "opened_at" not in choice.read()
    choice.open()
    noted = choice.read() | {"opened_at": "2026-01-01T00:00:00+00:00"}
    (tmp_path / "choice.json").write_text(json.dumps(noted))
    choice.open()
    assert choice.read() == noted


def test_no_second_choice_after_the_test_was_seen(tmp_path: Path) -> None:
    choice = Choice(tmp_path / "choice.json")
    choice.among(ONE, "the best", lambda: {"chosen": 1})
    assert choice.among(OTHER, "the best", lambda: {"chosen": 2})["chosen"] == 2  # unseen yet: choose again
    choice.open()
    assert choice.among(OTHER, "the best", never)["chosen"] == 2
    with pytest.raises(EvaluationError, match="new folder"):
        choice.among(ONE, "the best", never)
    assert choice.read()["chosen"] == 2


def test_of_two_processes_that_choose_at_once_the_first_is_heard(tmp_path: Path) -> None:
    """The second would unmake what is noted of the first: that it has opened the test buyers."""
    path = tmp_path / "choice.json"

    def while_the_other_goes_ahead() -> dict[str, Any]:
        other = Choice(path)
        other.among(ONE, "the best", lambda: {"chosen": "the other's"})
        other.open()
        return {"chosen": "mine"}

    made = Choice(path).among(ONE, "the best", while_the_other_goes_ahead)
    assert made["chosen"] == "the other's"
    assert "opened_at" in made
