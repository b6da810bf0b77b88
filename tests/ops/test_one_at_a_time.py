from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from ops.one_at_a_time import sole_holder
from training.errors import RetrainError


def _hold(lock: Path, held: Event) -> None:
    with sole_holder(lock, "a retrain"):
        held.set()
        multiprocessing.Event().wait()


def test_one_at_a_time_and_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "retrain.lock"
    spawn = multiprocessing.get_context("spawn")
    held = spawn.Event()
    other = spawn.Process(target=_hold, args=(lock, held))
    other.start()
    assert held.wait(60)
    said = f"a retrain is already going on here: process {other.pid} on"
    with pytest.raises(RetrainError, match=said), sole_holder(lock, "a retrain"):
        pass
    other.kill()
    other.join()
    with sole_holder(lock, "a retrain"):
        pass
