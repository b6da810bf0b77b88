"""The rule of resuming, said once for all studies: on tasks that cost nothing, killed at every boundary."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from studies.engine import Job, claimed, kept, require_stores, result_path, work_through
from training.errors import EvaluationError

NAMES = ("a1", "a2", "b1", "c1", "c2", "c3")
"""Jobs; those with the same letter share a claim."""


class KilledError(Exception):
    pass


class Work:
    """A folder of results; made: which were made by this process, in their order."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made, self.told = folder, list[str](), list[str]()
        self.fatal: str | None = None

    def path(self, name: str) -> Path:
        return result_path(self.folder, name, ".bin")

    def job(self, name: str) -> Job:
        claim = result_path(self.folder, name[0], ".lock")
        return Job(
            self.path(name), claim, f"job {name}", lambda: kept(self.path(name), lambda: self.make(name))
        )

    def make(self, name: str) -> bytes:
        if name == self.fatal:
            raise KilledError
        self.made.append(name)
        return name.encode()

    def go(self) -> None:
        work_through([self.job(name) for name in (*NAMES, *NAMES)], self.told.append)

    def left(self) -> set[str]:
        return {name for name in NAMES if not self.path(name).exists()}


@pytest.mark.parametrize("fatal", NAMES)
def test_a_study_that_is_killed_loses_the_job_under_way_and_no_other(fatal: str, tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.fatal = fatal
    with pytest.raises(KilledError):
        work.go()
    before = list(work.made)
    assert fatal in work.left()
    again = Work(tmp_path)
    again.go()
    assert before + again.made == list(NAMES)
    assert not again.left()
    assert all(work.path(name).read_bytes() == name.encode() for name in NAMES)
    assert again.told[0].startswith(f"run 1 of {len(NAMES) - len(before)}: job {fatal}")
    nothing = Work(tmp_path)
    nothing.go()
    assert (nothing.made, nothing.told) == ([], [])


def test_the_minutes_left_are_told_from_the_second_job_on(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.go()
    assert work.told[0] == f"run 1 of {len(NAMES)}: job a1"
    assert all(line.endswith("min left") for line in work.told[1:])


def hold(lock: Path, held: Any, finish: Any, result: Path) -> None:
    """Another process at the jobs of a claim: it has made their results by the time it lets go."""
    with claimed(lock, wait=True) as mine:
        assert mine
        held.set()
        finish.wait(60)
        result.write_bytes(b"theirs")


def test_what_another_process_is_at_is_left_to_it_and_read(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, finish = context.Event(), context.Event()
    work = Work(tmp_path)
    lock = work.job("b1").claim
    lock.parent.mkdir(exist_ok=True)
    other = context.Process(target=hold, args=(lock, held, finish, work.path("b1")))
    other.start()
    try:
        assert held.wait(60)
        last = work.job("c3")
        jobs = [work.job(name) for name in NAMES[:-1]]
        jobs.append(last._replace(make=lambda: (last.make(), finish.set())))
        work_through(jobs, work.told.append)
    finally:
        finish.set()
        other.join(60)
    assert other.exitcode == 0
    assert work.made == [name for name in NAMES if name != "b1"]
    assert work.path("b1").read_bytes() == b"theirs"


def test_a_failed_result_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise KilledError

    with pytest.raises(KilledError):
        kept(tmp_path / "runs" / "a.bin", fail)
    assert not list((tmp_path / "runs").iterdir())


def test_a_store_that_is_not_there_cannot_be_held_out() -> None:
    require_stores(("acme",), ("acme", "zeta"), "events")
    with pytest.raises(EvaluationError, match="no events of the store nowhere; there are: acme, zeta"):
        require_stores(("acme", "nowhere"), ("acme", "zeta"), "events")
