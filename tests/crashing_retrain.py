"""A retrain of the encoder or of the persona LLM that dies in a step, at one of the places named here.

What workers would be told is appended to HOME/told. In a process of its own it dies by SIGKILL, and leaves
why it failed otherwise in HOME/error.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import torch

from inference.bundles.bundle import load_bundle, starter_bundle_path
from ops.llm.models import LlmModels
from ops.models import Models
from ops.retraining.encoder import retrain_encoder
from ops.retraining.llm import retrain_llm
from ops.retraining.run_state import Order, Run
from streams.control import Shadow, Swap, encode_command
from training.encoder import checkpoint
from training.lifecycle.registry import Registry
from training.persona_llm.lifecycle.registry import LlmRegistry
from training.persona_llm.model import train

STEPS: Final = ("snapshot", "train", "align", "evaluate", "gate", "publish", "shadow", "promote")
LLM_STEPS: Final = ("snapshot", "prepare", "train", "evaluate", "gate", "publish", "promote")
CONFIG: Final = {
    "epochs": 2,
    "warmup_epochs": 1,
    "forecast_epochs": 0,  # no types: grouping codes takes longer than all the rest
    "epoch_rows": 1024,
    "batch_size": 256,
    "teacher_share": 0.0,
}
LLM_CONFIG: Final = {"epochs": 6, "schedule": "one-stage-mixed"}
MIDWAY: Final[dict[str, tuple[Any, str]]] = {
    "between epochs": (checkpoint, "save"),
    "before the bundle is in place": (Path, "rename"),
    "before the version is made": (Registry, "_measured"),
    "before the alias moves": (Registry, "give"),
    "before workers are told": (Models, "_tell"),
}
LLM_MIDWAY: Final[dict[str, tuple[Any, str]]] = {
    "between steps": (train._Run, "_validate"),
    "before the version is made": (LlmRegistry, "_measured"),
    "before the alias moves": (LlmRegistry, "give"),
}
LENIENT: Final = {
    f"SIMPERSONA_GATE_{name}": "1"
    for name in ("PURITY_LOSS", "INCOHERENCE_RISE", "JS_RISE", "PERPLEXITY_LOSS")
} | {"SIMPERSONA_GATE_LATENCY_RATIO": "100"}
"""So little training may well be worse; here it is to be promoted."""
LLM_LENIENT: Final = {"SIMPERSONA_LLM_GATE_ARA_LOSS": "1", "SIMPERSONA_LLM_GATE_FAILED_RISE": "1"}


def die_at(
    patch: pytest.MonkeyPatch,
    unfinished: Callable[[], Run | None],
    step: str,
    place: tuple[Any, str],
    die: Callable[[], None],
    *,
    after: bool = False,
) -> None:
    """Die where a step calls a function: before the call, or after it."""
    owner, name = place
    original: Callable[..., Any] = getattr(owner, name)

    def die_in_step(*arguments: Any, **named: Any) -> Any:
        run = unfinished()
        here = run is not None and run.next_step() == step
        if here and not after:
            die()
        result = original(*arguments, **named)
        if here:
            die()
        return result

    patch.setattr(owner, name, die_in_step)


def _sigkill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def retrain_at(home: Path) -> Run:
    """The encoder's retrain of the installation at home."""

    def tell(command: Swap | Shadow) -> None:
        with (home / "told").open("ab") as file:
            file.write(encode_command(command) + b"\n")

    models = Models(Registry(home / "registry"), home, tell)
    models.champion()
    return retrain_encoder(models, home, lambda _key: None, Order(config=CONFIG), restart=False)


def retrain_llm_at(home: Path) -> Run:
    """The persona LLM's, on home/events.ndjson."""
    models = LlmModels(LlmRegistry(home / "registry"), Registry(home / "registry"), home)
    order = Order(paths=(str(home / "events.ndjson"),), config=LLM_CONFIG)
    encoder = load_bundle(starter_bundle_path())
    return retrain_llm(models, encoder, home, lambda _key: None, order, restart=False)


def run_retrain(home: Path, llm: bool, at: tuple[str, str] | None, environment: dict[str, str]) -> None:
    """What a child process does."""
    torch.set_num_threads(1)
    os.environ.update((LLM_LENIENT if llm else LENIENT) | environment)
    root, steps = (home / "llm-retrain", LLM_STEPS) if llm else (home / "retrain", STEPS)
    try:
        with pytest.MonkeyPatch.context() as patch:
            if at is not None:
                step, point = at
                place = (LLM_MIDWAY if llm else MIDWAY)[point]
                found = lambda: Run.unfinished(root, steps)  # noqa: E731
                die_at(patch, found, step, place, _sigkill, after=point == "between epochs")
            retrain_llm_at(home) if llm else retrain_at(home)
    except BaseException as error:
        (home / "error").write_text(f"{type(error).__name__}: {error}")
        raise
