"""Histories of the live loop under every fault at once. More of them: `make simulate`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.history import History, run
from tests.simulation.steps import STEPS, draw

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("first", range(0, 2_000, 250))
def test_nothing_is_lost_or_said_wrongly_in_any_history(first: int) -> None:
    wrong = {seed: problem for seed in range(first, first + 250) if (problem := run(draw(seed)))}
    assert not wrong, (
        f"`make simulate ARGS='--histories 1 --seed {min(wrong)}'` shows it in few steps: {wrong}"
    )


def test_a_seed_replays_exactly() -> None:
    for seed in range(20):
        first, second = History(draw(seed)), History(draw(seed))
        assert first.live() == second.live()
        assert first.counts == second.counts
        assert first.logs() == second.logs()


def test_histories_meet_every_fault() -> None:
    met = {step[0] for seed in range(200) for step in draw(seed)}
    assert met == {*STEPS, "world"}


def test_the_command_lives_through_them_in_other_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.simulation", "--histories", "2", "--work", str(tmp_path)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"2 histories, 0 violations" in done.stdout
