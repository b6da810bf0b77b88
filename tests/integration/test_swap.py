"""A promoted bundle goes live, another is refused, and a restart remembers both. Under load: tests/long."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inference.bundles.bundle import Bundle
from ops.stack.processes import free_ports
from tests.inference.made_bundles import make_bundle
from tests.integration.swaps import assert_all_is_well, metric, swap_to, wait_done
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def candidate(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "candidate", seed=3, codebook_version="candidate-1")


def test_a_bundle_that_cannot_be_served_changes_nothing_also_after_a_restart(
    rig: Rig, candidate: Bundle, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(candidate.folder, broken)
    (broken / "model.onnx").write_bytes(b"not a graph")
    (port,) = free_ports(1)
    worker = rig.worker(metrics_port=port)
    rig.send(500)
    rig.wait_caught_up()
    swap_to(rig, candidate.folder)
    wait_done(rig, "candidate-1")
    swap_to(rig, broken)
    failed = 'simpersona_commands_failed_total{kind="swap"}'
    rig.wait_for(lambda: metric(port, failed) == 1, "the refusal")
    assert worker.log.read_text().count('"command_failed"') == 1
    rig.send(500)
    assert_all_is_well(rig)
    worker.kill()
    worker.start()
    worker.wait_assigned()
    rig.send(500)
    report = assert_all_is_well(rig)
    assert report.assignments > 0
    rig.wait_for(lambda: metric(port, 'simpersona_codebook_info{version="candidate-1"}') == 1, "the champion")
    assert metric(port, "simpersona_owned_partitions") == PARTITIONS
