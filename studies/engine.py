"""What a study keeps: one file per task, made once by whichever process comes first, with a line per task.

A file is named by a digest of the task and of the data that it saw. So a study that was killed loses the task
under way and no other, and a changed setting never meets an old result. Two processes may share a folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from feature_store.workspace import write_whole
from training.errors import EvaluationError

Tell = Callable[[str], None]


class Job(NamedTuple):
    """One task of a study."""

    result: Path
    """The file that it makes."""
    claim: Path
    """A lock file: one process at a time does the jobs of a claim, which share something costly."""
    title: str
    """For the progress line."""
    make: Callable[[], object]
    """Makes the result."""


def result_path(folder: Path, key: str, suffix: str) -> Path:
    """Where the result of a task is or will be; key: all that the result depends on."""
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}{suffix}"


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """The result of a task, read or made now; the file is whole or not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, make())
    return path.read_bytes()


def work_through(jobs: Sequence[Job], tell: Tell) -> None:
    """Do the jobs whose result is missing, with a line for each: which of how many, and the minutes left."""
    left = list({job.result: job for job in jobs if not job.result.exists()}.values())
    claims: dict[Path, list[Job]] = {}
    for job in left:
        claims.setdefault(job.claim, []).append(job)
    started, done = time.perf_counter(), 0
    # First what no other process is at, then what the other has not finished.
    for wait in (False, True):
        for claim in list(claims):
            with claimed(claim, wait=wait) as mine:
                for job in claims.pop(claim) if mine else ():
                    if not job.result.exists():
                        pace = (time.perf_counter() - started) / done if done else None
                        tell(_line(done, len(left), job.title, pace))
                        job.make()
                    done += 1


def _line(done: int, count: int, title: str, pace: float | None) -> str:
    """pace: seconds per job so far."""
    ahead = "" if pace is None else f", about {pace * (count - done) / 60:.0f} min left"
    return f"run {done + 1} of {count}: {title}{ahead}"


@contextmanager
def claimed(lock: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock file in the block; False where another process holds it and we do not wait. The system
    frees the lock when a process dies."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def require_stores(held_out: Collection[str], stores: Sequence[str], what: str) -> None:
    """Refuse to hold out a store that the data does not have; what: "events" or "sessions".

    Raises:
        EvaluationError: names the store, and those that there are.
    """
    for store in held_out:
        if store not in stores:
            raise EvaluationError(f"no {what} of the store {store}; there are: {', '.join(stores)}")
