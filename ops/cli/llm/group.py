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
NEEDED: Final[dict[str, str]] = {
    "accelerate": "accelerate",
    "gguf": "gguf",
    "gymnasium": "gymnasium",
    "llguidance": "llguidance",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "peft": "peft",
    "safetensors": "safetensors",
    "scikit-learn": "sklearn",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
}
"""Package -> module, of the extras `training` and `llm`."""


@click.group(cls=LazyGroup, modules=COMMANDS)
def llm() -> None:
    """Shopping agents that behave as a store's real shoppers do, code by code."""
    missing = [package for package, module in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise click.UsageError(
            f"{', '.join(missing)} not installed; the persona LLM needs: "
            "pip install 'simpersona[training,llm]'"
        )
