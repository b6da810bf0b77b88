"""The worker process on real servers: what it does when nothing is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inference.bundles.bundle import starter_bundle_path
from ops.history.backfill import backfill
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_no_shopper_waits_for_a_compiler(rig: Rig) -> None:
    """All compiled loops are loaded before partitions are taken; numba says each one that it loads."""
    worker = rig.worker(environment={"NUMBA_DEBUG_CACHE": "1", "PYTHONUNBUFFERED": "1"}, fresh=True)
    worker.wait_assigned()
    before = worker.log.read_text()
    rig.send(500)
    rig.wait_caught_up()
    assert "[cache]" in before
    assert "[cache]" not in worker.log.read_text()[len(before) :]


def test_history_loaded_before_the_first_start_is_built_upon(rig: Rig) -> None:
    archive = rig.folder / "archive"
    history = [rig.event() for _ in range(2_000)]
    written = backfill([history[:900], history[900:]], rig.rows, archive, PARTITIONS)
    assert sum(written.values()) == len({e.buyer for e in history})
    rig.worker()
    rig.send(2_000)
    report = rig.assert_nothing_lost(archive)
    assert report.buyers >= sum(written.values())
    without_history = rig.verify()
    assert not without_history.equal
    with pytest.raises(Exception, match="backfill goes before the first start"):
        backfill([history], rig.rows, archive, PARTITIONS)


def test_another_allowed_lateness_is_verified_with_the_same(rig: Rig) -> None:
    rig.settings = rig.settings.model_copy(update={"allowed_lateness_ms": 200})
    rig.worker()
    rig.send(3_000, buyers=30)
    rig.assert_nothing_lost()


def start_and_read_error(rig: Rig, **environment: str) -> str:
    worker = rig.worker(environment=environment)
    assert worker.process.wait(60) == 1
    return worker.log.read_text()


def test_a_changed_bundle_is_refused_at_start_with_one_sentence(rig: Rig, tmp_path: Path) -> None:
    shutil.copytree(starter_bundle_path(), tmp_path / "bundle")
    model = tmp_path / "bundle" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    said = start_and_read_error(rig, SIMPERSONA_ENCODER_BUNDLE=str(tmp_path / "bundle"))
    assert said.count("\n") == 1
    assert "simpersona: bundle" in said
    assert "model.onnx" in said


def test_another_partition_count_is_refused_at_start(rig: Rig) -> None:
    rig.rows.claim_partition_count(PARTITIONS * 2)
    said = start_and_read_error(rig)
    assert "the store was filled with 8" in said


def test_bad_settings_are_one_line() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "ops.cli.main", "worker"],
        env={"SIMPERSONA_BATCH_EVENTS": "many", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "SIMPERSONA_BATCH_EVENTS" in run.stderr


def test_events_flow_though_the_control_plane_never_joins_its_group(rig: Rig) -> None:
    without_control = (
        "import asyncio, faust, sys\n"
        "async def never(self): await asyncio.Event().wait()\n"
        "faust.App.on_start = never\n"
        "from ops.cli.main import main\n"
        "sys.argv = ['simpersona', 'worker']\n"
        "main()\n"
    )
    environment, log = rig.environment(rig.settings), rig.folder / "worker.log"
    worker = rig.fresh_process("-c", without_control, environment=environment, log=log)
    rig.send(500)
    rig.assert_nothing_lost()
    assert worker.poll() is None
