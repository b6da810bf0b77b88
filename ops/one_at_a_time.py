"""Jobs of which only one may run on an installation: a retrain, a promotion."""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from feature_store.workspace import write_whole
from training.errors import RetrainError


@contextmanager
def sole_holder(lock: Path, doing: str) -> Iterator[None]:
    """Be the only one who does this here; the system frees the lock when a process dies.

    Raises:
        RetrainError: another process is at it; says which, and since when.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    holder = lock.with_suffix(".holder")
    try:
        with FileLock(lock, timeout=0):
            since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            write_whole(holder, f"process {os.getpid()} on {socket.gethostname()}, since {since}\n".encode())
            try:
                yield
            finally:
                holder.unlink(missing_ok=True)
    except Timeout:
        who = holder.read_text().strip() if holder.exists() else "another process"
        raise RetrainError(f"{doing} is already going on here: {who}; wait for it or stop it") from None
