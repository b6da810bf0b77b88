"""Retrains in processes of their own, to be killed."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from tests.crashing_retrain import run_retrain

FORKS = multiprocessing.get_context("forkserver")  # torch and MLflow are imported once
FORKS.set_forkserver_preload(["tests.crashing_retrain", "mlflow", "onnxscript"])


def retrain(home: Path, at: tuple[str, str] | None = None, *, llm: bool = False) -> int:
    """Run a retrain in a process of its own; returns its exit code, which a kill makes negative."""
    process = FORKS.Process(target=run_retrain, args=(home, llm, at, {}))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def error(home: Path) -> str:
    return (home / "error").read_text() if (home / "error").exists() else ""
