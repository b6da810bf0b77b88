from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from training.errors import RetrainError
from training.lifecycle.run_state import STEPS, Order, Run, sole_holder


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    run = Run.begin(tmp_path, Order())
    run.finish("snapshot", {"events": 3})
    run.finish("train", {})
    found = Run.unfinished(tmp_path)
    assert found is not None
    assert found.state == run.state
    assert found.state.done["snapshot"] == {"events": 3}
    assert found.next_step() == "align"


def test_an_ended_run_is_not_found_again(tmp_path: Path) -> None:
    Run.begin(tmp_path, Order()).end("refused", "purity 0.5")
    assert Run.unfinished(tmp_path) is None


def test_steps_can_be_done_again_from_one_on(tmp_path: Path) -> None:
    run = Run.begin(tmp_path, Order())
    for step in STEPS:
        run.finish(step, {})
    assert run.next_step() is None
    run.forget_from("align")
    assert run.next_step() == "align"
    assert sorted(run.state.done) == ["snapshot", "train"]


def test_a_folder_without_a_state_is_passed_over(tmp_path: Path) -> None:
    run = Run.begin(tmp_path, Order())
    (tmp_path / "9999").mkdir()
    (tmp_path / "9998").mkdir()
    (tmp_path / "9998" / "state.json").write_text('{"run": "half')
    found = Run.unfinished(tmp_path)
    assert found is not None
    assert found.folder == run.folder


def test_old_runs_go_and_the_unfinished_one_stays(tmp_path: Path) -> None:
    for _ in range(9):
        Run.begin(tmp_path, Order()).end("promoted")
    last = Run.begin(tmp_path, Order())
    assert len(list(tmp_path.iterdir())) == 6
    found = Run.unfinished(tmp_path)
    assert found is not None
    assert found.folder == last.folder


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
