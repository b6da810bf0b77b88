"""What a fault of the matrix is."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from tests.reliability.trial import Trial


class SkippedError(Exception):
    """The machine does not let us make this fault; the message says why."""


class Fault:
    """One fault. Subclasses say what happens and from when recovery counts."""

    name: ClassVar[str]
    meaning: ClassVar[str]
    """What happens, and the moment from which recovery is timed: a cell of the table."""
    seconds: ClassVar[int] = 45
    """About how long a trial takes on two quiet cores: for the plan."""
    workers: ClassVar[int] = 2

    def prepare(self, folder: Path, stack: ExitStack) -> None:
        """Before the trial's store starts. Raises SkippedError."""

    def arrange(self, trial: Trial) -> None:
        """Before the workers start. Raises SkippedError."""

    def strike(self, trial: Trial) -> None:
        """Do it, and undo it; returns at the moment from which recovery counts."""
        raise NotImplementedError

    def end(self, trial: Trial) -> None:
        """After the recovery: what is still to be undone."""
