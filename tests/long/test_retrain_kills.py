"""A retrain of the persona LLM that is killed (SIGKILL); the encoder's is in tests/faults."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from feature_store.sources.writer import write_events
from ops.retraining.run_state import Run
from tests.crashing_retrain import LLM_STEPS
from tests.faults.retrains import error, retrain
from tests.training.persona_llm.models import history
from training.persona_llm.lifecycle.registry import LlmRegistry

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


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
