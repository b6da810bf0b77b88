"""A retrain of the persona LLM that kills itself (SIGKILL) in a step: at its end, done and not yet marked so,
or at one of the places inside that MIDWAY names."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Final

import torch

from inference.bundles.bundle import load_bundle, starter_bundle_path
from ops.llm.models import LlmModels
from ops.llm.retrain import LlmRun, retrain_llm
from training.lifecycle.registry import Registry
from training.lifecycle.run_state import Order, Step
from training.persona_llm.lifecycle.registry import LlmRegistry
from training.persona_llm.model import train

CONFIG: Final = {"epochs": 6, "schedule": "one-stage-mixed"}
MIDWAY: Final[dict[str, tuple[Any, str]]] = {
    "between steps": (train._Run, "_validate"),
    "before the version is made": (LlmRegistry, "_measured"),
    "before the alias moves": (LlmRegistry, "give"),
}


def _die(*_arguments: object, **_named: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_llm_retrain(home: Path, events: Path, at: tuple[Step, str] | None) -> None:
    """What a child process does; leaves why it failed in HOME/error."""
    torch.set_num_threads(1)
    # A model of six epochs may well be worse by more than the bound; here it is to be promoted.
    os.environ |= {"SIMPERSONA_LLM_GATE_ARA_LOSS": "1", "SIMPERSONA_LLM_GATE_FAILED_RISE": "1"}
    try:
        models = LlmModels(LlmRegistry(home / "registry"), Registry(home / "registry"), home)
        if at is not None:
            _kill_at(home / "llm-retrain", *at)
        encoder = load_bundle(starter_bundle_path())
        order = Order(paths=(str(events),), config=CONFIG)
        retrain_llm(models, encoder, home, lambda _key: None, order, restart=False)
    except BaseException as error:
        (home / "error").write_text(f"{type(error).__name__}: {error}")
        raise


def _kill_at(root: Path, step: Step, point: str) -> None:
    if point == step:
        finish = LlmRun.finish
        LlmRun.finish = lambda run, done, said: _die() if done == step else finish(run, done, said)  # type: ignore[method-assign]
        return
    owner, name = MIDWAY[point]
    original = getattr(owner, name)

    def die_in_step(*arguments: Any, **named: Any) -> Any:
        run = LlmRun.unfinished(root)
        if run is not None and run.next_step() == step:
            _die()
        return original(*arguments, **named)

    setattr(owner, name, die_in_step)
