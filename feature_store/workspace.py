"""Results that are whole or not there: one file, or all that a long job makes on its way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from feature_store.errors import OutputError


def make_parent(out: Path) -> None:
    """Make the folder that a result is to lie in, before the time is spent on the result.

    Raises:
        OutputError: it cannot be made.
    """
    folder = out.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError(f"{out} cannot be written: {folder} is no folder") from None
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}") from error


@contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """A folder beside `out`, empty at first, gone at the end; `publish` moves what was made there to `out`.

    A killed job leaves its folder behind; the next one for the same `out` starts by emptying it. Only one job
    at a time can make `out`.

    Raises:
        OutputError: the folder cannot be made or written (a full disk), or another job is making `out`.
    """
    folder = out.absolute().with_name(f".{out.name}.work")
    try:
        folder.mkdir(exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            _empty(folder)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise OutputError(f"another run is writing {out}: wait for it, or name another file") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # arrow tells more than fits in a line
        raise OutputError(f"{out} cannot be written: {reason}") from error


def publish(made: Path, out: Path) -> None:
    """Move a finished file to its place: a reader finds the whole file or what was there before.

    Raises:
        OSError: it cannot be written.
    """
    sync(made)
    made.replace(out)
    sync(out.absolute().parent)  # the rename itself must survive a power cut


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that a reader finds the old content or the new, also after a power cut.

    Raises:
        OSError: it cannot be written; no half file is left.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)  # a full disk leaves no half file behind
    sync(path.parent)


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or which names a folder has."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name != ".lock":
            left.unlink()
