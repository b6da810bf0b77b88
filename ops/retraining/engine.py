"""One retrain: a table of steps, done one after the other; killed anywhere, it goes on.

The champion changes in the last step alone. Each step leaves its result in the run's folder and is then
marked done (ops.retraining.run_state), so a rerun repeats at most the step in which the last one died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from feature_store.errors import EventSourceError
from ops.errors import ChampionChangedError
from ops.one_at_a_time import sole_holder
from ops.retraining.run_state import Order, Run
from training.errors import GateError, RegistryError, RetrainError, TrainingError

log = structlog.get_logger()

Step = Callable[[Run], dict[str, Any]]
"""Does a step of a run; returns what it has to say of it, as JSON."""


def _nothing(*_: object) -> None:
    pass


class Kind(NamedTuple):
    """What sets one kind of retrain apart from another."""

    steps: Mapping[str, Step]
    """By name, in their order. "gate" says why the candidate is refused (`refused`, or None), "publish" under
    which number it is registered (`version`)."""
    command: str
    """What the user types to go on."""
    doing: str
    """For the message that another process is at it: "a retrain"."""
    champion: str
    """What stays where a run fails: "the champion"."""
    compares_from: str
    """The first step that looks at the champion: from here on all is done again where it has changed."""
    on_champion_changed: Callable[[], None] = _nothing
    on_end: Callable[[], None] = _nothing
    """Called once the run has ended, however it came out."""


def retrain(kind: Kind, root: Path, order: Order, *, restart: bool) -> Run:
    """Go on with the run that was interrupted, as it was ordered; else begin one. One at a time.

    root: the folder of the runs.

    Raises:
        GateError: the candidate is worse than the champion; it is registered, and not promoted.
        RetrainError: a step could not be done now, from a full disk say; a rerun goes on with it. Or another
            retrain is at work.
        ModelsError: the champion cannot be changed now; a rerun goes on.
        TrainingError, EventSourceError: the data makes no model; a rerun begins anew.
    """
    try:
        with sole_holder(root / ".lock", kind.doing):
            run = Run.take_up(root, order, tuple(kind.steps), restart=restart)
            try:
                _go(kind, run)
            finally:
                if run.state.outcome is not None:
                    kind.on_end()
            return run
    except OSError as error:
        raise RetrainError(
            f"{root} cannot be written: {error.strerror or error}; {kind.champion} stays"
        ) from error


def _go(kind: Kind, run: Run) -> None:
    while (step := run.next_step()) is not None:
        try:
            with _step_errors(kind, run, step):
                run.finish(step, kind.steps[step](run))
        except ChampionChangedError as error:
            log.warning("champion_changed", run=run.state.run, error=str(error))
            kind.on_champion_changed()
            run.forget_from(kind.compares_from)
        _stop_if_refused(kind, run, step)
    run.end("promoted" if run.state.order.promote else "candidate")


def _stop_if_refused(kind: Kind, run: Run, step: str) -> None:
    # Once it is registered: what was refused can be looked at, and promoted by force.
    refused = run.state.done.get("gate", {}).get("refused")
    if step == "publish" and refused:
        run.end("refused", refused)
        version = run.state.done["publish"]["version"]
        raise GateError(f"version {version} is not promoted, it is worse than {kind.champion}: {refused}")


@contextmanager
def _step_errors(kind: Kind, run: Run, step: str) -> Iterator[None]:
    """Do a step in the block: what stopped it is recorded, and decides whether the run can go on."""
    log.info("retrain_step", run=run.state.run, step=step)
    try:
        yield
    except OSError as error:
        raise RetrainError(
            f"step {step} of run {run.state.run} failed: {error.strerror or error}; {kind.champion} stays, "
            f"and `{kind.command}` goes on from here"
        ) from error
    except RegistryError:
        raise
    except (TrainingError, EventSourceError) as error:
        run.end("failed", str(error))
        raise
