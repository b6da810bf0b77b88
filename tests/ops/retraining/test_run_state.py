from __future__ import annotations

from pathlib import Path

from ops.retraining.run_state import Order, Run

STEPS = ("snapshot", "train", "align", "evaluate", "gate", "publish", "shadow", "promote")


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    run = Run.begin(tmp_path, Order(), STEPS)
    run.finish("snapshot", {"events": 3})
    run.finish("train", {})
    found = Run.unfinished(tmp_path, STEPS)
    assert found is not None
    assert found.state == run.state
    assert found.state.done["snapshot"] == {"events": 3}
    assert found.next_step() == "align"


def test_an_ended_run_is_not_found_again(tmp_path: Path) -> None:
    Run.begin(tmp_path, Order(), STEPS).end("refused", "purity 0.5")
    assert Run.unfinished(tmp_path, STEPS) is None


def test_steps_can_be_done_again_from_one_on(tmp_path: Path) -> None:
    run = Run.begin(tmp_path, Order(), STEPS)
    for step in STEPS:
        run.finish(step, {})
    assert run.next_step() is None
    run.forget_from("align")
    assert run.next_step() == "align"
    assert sorted(run.state.done) == ["snapshot", "train"]


def test_a_folder_without_a_state_is_passed_over(tmp_path: Path) -> None:
    run = Run.begin(tmp_path, Order(), STEPS)
    (tmp_path / "9999").mkdir()
    (tmp_path / "9998").mkdir()
    (tmp_path / "9998" / "state.json").write_text('{"run": "half')
    found = Run.unfinished(tmp_path, STEPS)
    assert found is not None
    assert found.folder == run.folder


def test_old_runs_go_and_the_unfinished_one_stays(tmp_path: Path) -> None:
    for _ in range(9):
        Run.begin(tmp_path, Order(), STEPS).end("promoted")
    last = Run.begin(tmp_path, Order(), STEPS)
    assert len(list(tmp_path.iterdir())) == 6
    found = Run.unfinished(tmp_path, STEPS)
    assert found is not None
    assert found.folder == last.folder


def test_a_run_that_release_0_1_0_began_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-24T03-00-00.000001"
    folder.mkdir()
    (folder / "state.json").write_text(
        """{
 "run": "2026-11-24T03-00-00.000001",
 "started_at": "2026-11-24T03:00:00+00:00",
 "order": {"reason": "by hand", "paths": [], "config": {"epochs": 3}, "promote": false},
 "done": {"snapshot": {"events": 12, "files": 2}},
 "outcome": null,
 "why": null
}
"""
    )
    run = Run.take_up(tmp_path, Order(), STEPS, restart=False)
    assert run.folder == folder
    assert run.next_step() == "train"
    assert run.state.order == Order(config={"epochs": 3}, promote=False)
