"""`simpersona llm`: the group."""

from __future__ import annotations

from typing import Final

import click

from ops.cli.extras import require_extras
from ops.cli.lazy import Entry, LazyGroup

COMMANDS: Final[dict[str, Entry]] = {
    "evaluate": Entry(
        "ops.cli.encoder.studies:persona_llm", "Judge agents against real sessions and baselines."
    ),
    "export": Entry("ops.cli.llm.export:export", "Write a model as a plain Hugging Face folder."),
    "loop": Entry("ops.cli.llm.loop:loop", "Tag simulated sessions, and compare with what went in."),
    "models": Entry("ops.cli.llm.models:models", "List, promote and roll back versions of the model."),
    "prepare": Entry("ops.cli.llm.prepare:prepare", "Turn real sessions into traces to train on."),
    "retrain": Entry("ops.cli.llm.retrain:retrain", "Train a successor, judge it, and put it to use."),
    "simulate": Entry("ops.cli.llm.simulate:simulate", "Let agents shop in a store."),
    "train": Entry("ops.cli.llm.train:train", "Train a persona LLM on traces."),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
def llm() -> None:
    """Shopping agents that behave as a store's real shoppers do, code by code."""
    require_extras("training", "llm")
