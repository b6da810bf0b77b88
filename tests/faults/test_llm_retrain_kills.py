"""A retrain of the persona LLM is killed (SIGKILL) in every step: the model in use stays, a rerun goes on."""

from __future__ import annotations

import json
import multiprocessing
import signal
from pathlib import Path

import pytest

from feature_store.sources.writer import write_events
from tests.crashing_llm_retrain import MIDWAY, run_llm_retrain
from tests.training.persona_llm.models import history
from training.lifecycle.run_state import Step
from training.persona_llm.lifecycle.registry import LlmRegistry

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]  # a dozen retrains, on a machine that is busy

FORKS = multiprocessing.get_context("forkserver")  # torch and MLflow are imported once, not a dozen times
FORKS.set_forkserver_preload(["tests.crashing_llm_retrain", "mlflow"])


def retrain(home: Path, at: tuple[Step, str] | None = None) -> int:
    """Run a retrain in a process of its own; returns its exit code, which a kill makes negative."""
    process = FORKS.Process(target=run_llm_retrain, args=(home, home / "events.ndjson", at))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def states(home: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_bytes()) for path in sorted((home / "llm-retrain").glob("*/state.json"))]


def error(home: Path) -> str:
    return (home / "error").read_text() if (home / "error").exists() else ""


def test_the_model_in_use_stays_and_a_rerun_goes_on(tmp_path: Path) -> None:
    write_events(tmp_path / "events.ndjson", [history()])
    assert retrain(tmp_path) == 0, error(tmp_path)
    registry = LlmRegistry(tmp_path / "registry")
    first = registry.version("champion")
    write_events(tmp_path / "events.ndjson", [history(70)])

    points: list[tuple[Step, str]] = [
        ("snapshot", "snapshot"),
        ("prepare", "prepare"),
        ("train", "between steps"),
        ("train", "train"),
        ("evaluate", "evaluate"),
        ("gate", "gate"),
        ("publish", "before the version is made"),
        ("publish", "publish"),
        ("promote", "before the alias moves"),
    ]
    assert set(MIDWAY) <= {point for _, point in points}
    for step, point in points:
        assert retrain(tmp_path, (step, point)) == -signal.SIGKILL, f"{point}: {error(tmp_path)}"
        assert registry.version("champion").number == first.number, point
        assert step not in states(tmp_path)[-1]["done"], point  # type: ignore[operator]
    assert retrain(tmp_path) == 0, error(tmp_path)

    assert [state["outcome"] for state in states(tmp_path)] == ["promoted", "promoted"], "reruns went on"
    newest, _ = registry.versions()
    champion = registry.version("champion")
    assert champion.number == newest.number
    assert champion.tags["replaced"] == str(first.number)
    assert newest.tags["gates"] == "passed"
