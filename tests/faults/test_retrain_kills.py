"""A retrain is killed (SIGKILL) where it leaves the most behind: the champion stays, the next run goes on.

The rule of resuming is proven step by step in tests/ops/retraining/test_engine.py, and what the real steps
leave at other places in test_encoder.py and test_llm.py there. A process that is killed holds locks, and
leaves folders and a database that nobody tidies up.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from pathlib import Path

import pytest

from feature_store.sources.writer import write_events
from inference.bundles.bundle import load_bundle, starter_bundle_path
from ops.retraining.run_state import Run
from tests.crashing_retrain import LLM_STEPS, STEPS, run_retrain
from tests.ops.retraining.archives import write_archive
from tests.training.persona_llm.models import history
from training.lifecycle.registry import Registry
from training.persona_llm.lifecycle.registry import LlmRegistry

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

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


def test_an_encoders_retrain_goes_on_and_the_champion_stays(tmp_path: Path) -> None:
    write_archive(tmp_path, 400, 3)
    starter = load_bundle(starter_bundle_path()).codebook_version
    for step, point in (("train", "between epochs"), ("publish", "before the version is made")):
        assert retrain(tmp_path, (step, point)) == -signal.SIGKILL, f"{point}: {error(tmp_path)}"
        run = Run.unfinished(tmp_path / "retrain", STEPS)
        assert run is not None
        assert run.next_step() == step
        assert Registry(tmp_path / "registry").version("champion").codebook_version == starter
    assert retrain(tmp_path) == 0, error(tmp_path)
    assert Run.unfinished(tmp_path / "retrain", STEPS) is None
    newest, _ = Registry(tmp_path / "registry").versions()
    assert newest.aliases == ("champion",)


def test_a_persona_llms_retrain_goes_on_and_the_model_in_use_stays(tmp_path: Path) -> None:
    write_events(tmp_path / "events.ndjson", [history()])
    assert retrain(tmp_path, llm=True) == 0, error(tmp_path)
    registry = LlmRegistry(tmp_path / "registry")
    first = registry.version("champion")
    write_events(tmp_path / "events.ndjson", [history(70)])
    for step, point in (("train", "between steps"), ("publish", "before the version is made")):
        assert retrain(tmp_path, (step, point), llm=True) == -signal.SIGKILL, f"{point}: {error(tmp_path)}"
        run = Run.unfinished(tmp_path / "llm-retrain", LLM_STEPS)
        assert run is not None
        assert run.next_step() == step
        assert registry.version("champion").number == first.number
    assert retrain(tmp_path, llm=True) == 0, error(tmp_path)
    states = [json.loads(p.read_bytes()) for p in sorted((tmp_path / "llm-retrain").glob("*/state.json"))]
    assert [state["outcome"] for state in states] == ["promoted", "promoted"], "reruns went on"
    newest, _ = registry.versions()
    champion = registry.version("champion")
    assert champion.number == newest.number
    assert champion.tags["replaced"] == str(first.number)
    assert newest.tags["gates"] == "passed"
