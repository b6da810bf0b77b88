"""The worker process on real servers: what it does when nothing is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.triton_repository import build_repository
from ops.history.backfill import backfill
from ops.stack.processes import free_ports
from ops.stack.triton import Triton
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name} ") or line.startswith(f"{name}{{"):
                return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no metric {name}")


def test_no_shopper_waits_for_a_compiler(rig: Rig) -> None:
    """All compiled loops are loaded before partitions are taken; numba says each one that it loads."""
    worker = rig.worker(environment={"NUMBA_DEBUG_CACHE": "1", "PYTHONUNBUFFERED": "1"})
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


def test_triton_killed_under_traffic_degrades_and_loses_nothing(rig: Rig, tmp_path: Path) -> None:
    repository = build_repository(load_bundle(starter_bundle_path()), tmp_path / "models")
    triton = Triton(repository, tmp_path / "triton", owned=True)
    triton.start()
    (port,) = free_ports(1)
    worker = rig.worker(
        environment={
            "SIMPERSONA_ENCODER_RUNTIME": "triton",
            "SIMPERSONA_ENCODER_TRITON_URL": triton.address,
            "SIMPERSONA_ENCODER_RETRY_S": "0.5",
        },
        metrics_port=port,
    )
    try:
        with rig.trickle(rate=300):
            worker.wait_assigned()
            rig.wait_for(lambda: rig.folded() > 300, "the first events")
            assert metric(port, "simpersona_encoder_degraded") == 0
            triton.kill()
            rig.wait_for(lambda: metric(port, "simpersona_encoder_degraded") == 1, "the degraded mode")
            triton.start()
            rig.wait_for(lambda: metric(port, "simpersona_encoder_degraded") == 0, "the way back")
        rig.assert_nothing_lost()
    finally:
        triton.kill()


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


def _claim(rig: Rig, topic: str, number: int, progress: bytes) -> None:
    import redis

    client = redis.Redis.from_url(rig.settings.store_url)
    client.set(f"{{{topic}:{number}}}:progress", progress)
    client.close()


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
    worker = rig.process("-c", without_control, environment=environment, log=log)
    rig.send(500)
    rig.assert_nothing_lost()
    assert worker.poll() is None
