"""Validation chooses, test is read once: no test buyer is read until the choice is a file."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from feature_store.workspace import write_whole
from studies.engine import claimed
from training.errors import EvaluationError


class Choice:
    """The file that fixes what validation chose, and the seal on the test buyers that it opens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open = False

    def among(
        self, candidates: Sequence[Path], rule: str, choose: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """The choice among these candidates (their results' paths); made and written now if there is none.

        choose: fields of the choice beside the rule and the candidates' digest. Of two processes that choose
        at the same time, the first to write is heard.

        Raises:
            EvaluationError: a choice among others was made here, and the test buyers were seen with it.
        """
        digest = hashlib.sha256(json.dumps([path.name for path in candidates]).encode()).hexdigest()
        choice = self._made_among(digest)
        if choice is not None:
            return choice
        choice = {"rule": rule, "candidates_digest": digest} | choose()
        with claimed(self._path.with_suffix(".lock"), wait=True):
            return self._made_among(digest) or self._write(choice | {"fixed_at": _now()})

    def _made_among(self, digest: str) -> dict[str, Any] | None:
        if not self._path.exists():
            return None
        choice = self.read()
        if choice["candidates_digest"] == digest:
            return choice
        if "opened_at" in choice:
            raise EvaluationError(
                f"{self._path} was chosen among other candidates or on other data, and the test "
                f"buyers were seen with it; a new choice needs a new folder"
            )
        return None

    def read(self) -> dict[str, Any]:
        """The choice as it stands."""
        choice: dict[str, Any] = json.loads(self._path.read_text())
        return choice

    def open(self) -> None:
        """Break the seal; the first time is noted in the file.

        Raises:
            EvaluationError: nothing was chosen yet.
        """
        if not self._path.exists():
            raise _closed()
        with claimed(self._path.with_suffix(".lock"), wait=True):
            choice = self.read()
            if "opened_at" not in choice:
                self._write(choice | {"opened_at": _now()})
        self._open = True

    def require_open(self) -> None:
        """Refuse to show a test buyer before `open`.

        Raises:
            EvaluationError: the seal is whole.
        """
        if not self._open:
            raise _closed()

    def _write(self, choice: dict[str, Any]) -> dict[str, Any]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, (json.dumps(choice, indent=1) + "\n").encode())
        return choice


def _closed() -> EvaluationError:
    return EvaluationError("the test buyers stay closed until the configuration is fixed in a file")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
