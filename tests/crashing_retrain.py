"""A retrain that kills itself (SIGKILL) in a step: at its end, done and not yet marked so, or at one of the
places inside that MIDWAY names. What workers would be told is appended to HOME/told.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from ops.models import Models
from ops.retrain import retrain
from streams.control import Shadow, Swap, encode_command
from training.encoder import checkpoint
from training.lifecycle.registry import Registry
from training.lifecycle.run_state import Order, Run, Step

CONFIG: Final = {
    "epochs": 2,
    "warmup_epochs": 1,
    "forecast_epochs": 0,  # no types: grouping codes takes longer than all the rest
    "epoch_rows": 1024,
    "batch_size": 256,
    "prefixes": (1, 3),
}
MIDWAY: Final[dict[str, tuple[Any, str]]] = {
    "between epochs": (checkpoint, "save"),
    "before the bundle is in place": (Path, "rename"),
    "before the version is made": (Registry, "_measured"),
    "before the alias moves": (Registry, "give"),
    "before workers are told": (Models, "_tell"),
}


def _die(*_arguments: object, **_named: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at(root: Path, step: Step, point: str) -> None:
    if point == step:
        finish = Run.finish
        Run.finish = lambda run, done, said: _die() if done == step else finish(run, done, said)  # type: ignore[method-assign]
    else:
        owner, name = MIDWAY[point]
        original: Callable[..., Any] = getattr(owner, name)

        def die_in_step(*arguments: Any, **named: Any) -> Any:
            run = Run.unfinished(root)
            here = run is not None and run.next_step() == step
            if here and point != "between epochs":
                _die()
            result = original(*arguments, **named)
            if here:
                _die()
            return result

        setattr(owner, name, die_in_step)


def run_retrain(home: Path, at: tuple[Step, str] | None, environment: dict[str, str]) -> None:
    """What a child process does; leaves why it failed in HOME/error."""
    os.environ.update(environment)
    torch.set_num_threads(1)

    def tell(command: Swap | Shadow) -> None:
        with (home / "told").open("ab") as file:
            file.write(encode_command(command) + b"\n")

    try:
        models = Models(Registry(home / "registry"), home, tell)
        models.champion()
        if at is not None:
            _kill_at(home / "retrain", *at)
        retrain(models, home, lambda _key: None, Order(config=CONFIG), restart=False)
    except BaseException as error:
        (home / "error").write_text(f"{type(error).__name__}: {error}")
        raise
