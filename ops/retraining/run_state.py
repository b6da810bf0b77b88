"""A retrain's memory of itself: one folder a run, one file that says which steps are done.

    <home>/retrain/2026-11-24T03-00-00/state.json      written whole after every step
                                       snapshot.json   and what the steps made, one file or folder each

A step is done when state.json says so, and what it made is then complete. A run that was killed is found
again and goes on with its first step that is not done.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec
import structlog

from feature_store.sources.choice import NOTHING_SAID, SourceChoice
from feature_store.workspace import write_whole

log = structlog.get_logger()

Outcome = Literal["promoted", "candidate", "refused", "failed", "abandoned"]
_STATE: Final = "state.json"
_KEPT_RUNS: Final = 5


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; it stays for the whole run. paths: files of events, empty for the archive, and
    `source`, what was said of them; config:
    the training's settings where they are not the default; promote False leaves the version as the
    candidate."""

    reason: str = "by hand"
    paths: tuple[str, ...] = ()
    source: SourceChoice = NOTHING_SAID
    config: dict[str, Any] = {}
    promote: bool = True


class State(msgspec.Struct, kw_only=True):
    """state.json. done: what each finished step has to say, by step; outcome None while it goes on."""

    run: str
    started_at: str
    order: Order
    done: dict[str, dict[str, Any]] = {}
    outcome: Outcome | None = None
    why: str | None = None


class Run:
    """One retrain: its folder, its state, and the steps that it consists of, in their order."""

    def __init__(self, folder: Path, state: State, steps: Sequence[str]) -> None:
        self.folder, self.state, self.steps = folder, state, tuple(steps)

    @classmethod
    def begin(cls, root: Path, order: Order, steps: Sequence[str]) -> Self:
        """Start a new run; the oldest finished ones are removed."""
        now = datetime.datetime.now(datetime.UTC)
        name = f"{now:%Y-%m-%dT%H-%M-%S.%f}"
        state = State(run=name, started_at=now.isoformat(timespec="seconds"), order=order)
        run = cls(root / name, state, steps)
        run.folder.mkdir(parents=True)
        run._write()
        for old in [it for it in cls._runs(root, steps) if it.state.outcome is not None][_KEPT_RUNS:]:
            shutil.rmtree(old.folder, ignore_errors=True)
        return run

    @classmethod
    def unfinished(cls, root: Path, steps: Sequence[str]) -> Self | None:
        """The run that was interrupted, or None."""
        return next((run for run in cls._runs(root, steps) if run.state.outcome is None), None)

    @classmethod
    def take_up(cls, root: Path, order: Order, steps: Sequence[str], *, restart: bool) -> Self:
        """The run that was interrupted, as it was ordered; without one, and on `restart`, a new one."""
        run = cls.unfinished(root, steps)
        if run is not None and restart:
            run.end("abandoned", "--restart")
            run = None
        if run is None:
            return cls.begin(root, order, steps)
        log.info("retrain_goes_on", run=run.state.run, step=run.next_step())
        return run

    def next_step(self) -> str | None:
        """The first step that is not done."""
        return next((step for step in self.steps if step not in self.state.done), None)

    def finish(self, step: str, result: dict[str, Any]) -> None:
        """Remember that a step is done, and what it has to say."""
        self.state.done[step] = result
        self._write()
        log.info("retrain_step_done", run=self.state.run, step=step)

    def forget_from(self, step: str) -> None:
        """Do a step, and what comes after it, again."""
        for later in self.steps[self.steps.index(step) :]:
            self.state.done.pop(later, None)
        self._write()

    def end(self, outcome: Outcome, why: str | None = None) -> None:
        """Remember how the run came out: nothing is left to do."""
        self.state.outcome, self.state.why = outcome, why
        self._write()
        log.info("retrain_ended", run=self.state.run, outcome=outcome)

    def _write(self) -> None:
        content = msgspec.json.format(msgspec.json.encode(self.state), indent=1)
        write_whole(self.folder / _STATE, content + b"\n")

    @classmethod
    def _runs(cls, root: Path, steps: Sequence[str]) -> list[Self]:
        """Every run whose state can be read, the newest first."""
        runs = []
        for folder in sorted(root.glob("*"), reverse=True):
            try:
                state = msgspec.json.decode((folder / _STATE).read_bytes(), type=State)
            except (OSError, msgspec.MsgspecError):
                continue  # killed before its first line: there is nothing to go on with
            runs.append(cls(folder, state, steps))
        return runs
