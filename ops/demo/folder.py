"""The demo's data folder: new each time, one demo at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.demo.api import DemoApi
from ops.demo.worker import DemoWorker
from ops.errors import DemoError
from ops.stack.local import LocalStack


@contextmanager
def fresh_folder(home: Path) -> Iterator[Path]:
    """<home>/demo, emptied of the last demo; held until the context or this process ends, however it ends.

    Raises:
        DemoError: another demo runs there.
    """
    home.mkdir(parents=True, exist_ok=True)
    folder = (home / "demo").resolve()
    with (home / "demo.lock").open("a+") as lock:  # beside the folder, which is deleted
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DemoError(
                f"a demo already runs on {folder} (process {lock.read().strip()}): end it with Ctrl-C, "
                "or set SIMPERSONA_HOME to another folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        # A killed demo's servers end by themselves, but maybe not before we delete their files.
        for server in (DemoApi(folder), DemoWorker(folder), *LocalStack(folder).servers):
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
