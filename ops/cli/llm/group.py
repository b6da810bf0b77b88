"""`simpersona llm`: the group."""

from __future__ import annotations

import importlib.util
from typing import Final

import click

from ops.cli.lazy import LazyGroup

COMMANDS: Final[dict[str, str]] = {
    "evaluate": "ops.cli.llm.evaluate:evaluate",
    "export": "ops.cli.llm.export:export",
    "loop": "ops.cli.llm.loop:loop",
    "models": "ops.cli.llm.models:models",
    "prepare": "ops.cli.llm.prepare:prepare",
    "retrain": "ops.cli.llm.retrain:retrain",
    "simulate": "ops.cli.llm.simulate:simulate",
    "train": "ops.cli.llm.train:train",
}
"""Command -> module:attribute."""


@click.group(cls=LazyGroup, modules=COMMANDS)
def llm() -> None:
    """Shopping agents that behave as a store's real shoppers do, code by code."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        raise click.UsageError("the persona LLM needs: pip install 'simpersona[training,llm]'")
