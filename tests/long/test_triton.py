"""Triton killed under a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.triton_repository import build_repository
from ops.stack.processes import free_ports
from ops.stack.triton import Triton
from tests.integration.swaps import metric
from tests.rig import Rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


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
