"""The first step of a retrain: what it learns from, listed as it is now."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from feature_store.workspace import write_whole
from ops.retraining.run_state import Run
from training.lifecycle.snapshot import Snapshot, take_archive, take_files

_SNAPSHOT: Final = "snapshot.json"


def snapshot_step(run: Run, home: Path) -> dict[str, Any]:
    """List the files that the run was ordered to learn from, or the archive, into the run's folder."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    paths = [Path(path) for path in run.state.order.paths]
    snapshot = (
        take_files(paths, now, run.state.order.source) if paths else take_archive(home / "archive", now)
    )
    encoded = msgspec.json.format(msgspec.json.encode(snapshot), indent=1)
    write_whole(run.folder / _SNAPSHOT, encoded + b"\n")
    return {"events": sum(part.events for part in snapshot.parts) or None, "files": len(snapshot.files)}


def read_snapshot(run: Run) -> Snapshot:
    """What snapshot_step listed."""
    return msgspec.json.decode((run.folder / _SNAPSHOT).read_bytes(), type=Snapshot)
