"""Validation chooses, test is read once: the test buyers stay sealed until the choice is a file."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inference.bundles.publish import write_whole
from training.errors import EvaluationError
from training.evaluation.points import TEST, Points, select


class ChoiceFile:
    """The file that fixes a configuration before test buyers are seen."""

    def __init__(self, path: Path) -> None:
        self._choice = path

    def chosen(self, candidates: str) -> dict[str, Any] | None:
        """The choice that was made among the same candidates (their digest), None if there is none yet.

        Raises:
            EvaluationError: a choice among others was made here, and the test buyers were seen with it.
        """
        if not self._choice.exists():
            return None
        choice: dict[str, Any] = json.loads(self._choice.read_text())
        if choice["candidates_digest"] == candidates:
            return choice
        if "opened_at" in choice:
            raise EvaluationError(
                f"{self._choice} was chosen among other candidates or on other data, and the test "
                f"buyers were seen with it; a new choice needs a new folder"
            )
        return None

    def fix(self, choice: dict[str, Any]) -> None:
        """Write the choice; from now on the test buyers may be opened."""
        self._choice.parent.mkdir(parents=True, exist_ok=True)
        _write(self._choice, choice | {"fixed_at": _now()})

    def read(self) -> dict[str, Any]:
        """The choice as it stands."""
        choice: dict[str, Any] = json.loads(self._choice.read_text())
        return choice

    def note_opened(self) -> None:
        """Note that the test buyers are seen from now on, where it is not noted yet.

        Raises:
            EvaluationError: nothing was chosen yet.
        """
        if not self._choice.exists():
            raise EvaluationError("the test buyers stay closed until the configuration is fixed in a file")
        choice = json.loads(self._choice.read_text())
        if "opened_at" not in choice:
            _write(self._choice, choice | {"opened_at": _now()})


class Sealed(ChoiceFile):
    """Points whose test buyers cannot be had before a choice was written."""

    def __init__(self, points: Mapping[str, Points], choice: Path) -> None:
        """`choice`: the file that fixes the configuration."""
        super().__init__(choice)
        self._points = dict(points)

    def validation(self) -> dict[str, Points]:
        """The points without any row of a test buyer."""
        return {view: _without_test(points) for view, points in self._points.items()}

    def open(self) -> dict[str, Points]:
        """The points with their test buyers; the first opening is noted in the choice.

        Raises:
            EvaluationError: nothing was chosen yet.
        """
        self.note_opened()
        return self._points


def _without_test(points: Points) -> Points:
    kept = np.flatnonzero(points.side != TEST)
    return Points(select(points.data, kept), points.stores, points.store[kept], points.side[kept])


def _write(path: Path, choice: dict[str, Any]) -> None:
    write_whole(path, (json.dumps(choice, indent=1) + "\n").encode())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
