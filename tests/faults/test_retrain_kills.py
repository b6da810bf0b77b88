"""A retrain is killed (SIGKILL) where it leaves the most behind: the champion stays, the next run goes on.

The rule of resuming is proven step by step in tests/ops/retraining/test_engine.py, and what the real steps
leave at other places in test_encoder.py and test_llm.py there. A process that is killed holds locks, and
leaves folders and a database that nobody tidies up.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from inference.bundles.bundle import load_bundle, starter_bundle_path
from ops.retraining.run_state import Run
from tests.crashing_retrain import STEPS
from tests.faults.retrains import error, retrain
from tests.ops.retraining.archives import write_archive
from training.lifecycle.registry import Registry

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


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
