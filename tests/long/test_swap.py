"""Swaps under load: a kill in the middle, a candidate in the shadow, and workers on Triton."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.bundles.bundle import Bundle, load_bundle, starter_bundle_path
from inference.encoders.triton_live import put_live
from inference.encoders.triton_repository import build_repository, model_version
from ops.stack.processes import free_ports
from ops.stack.triton import Triton
from streams.control import Shadow, encode_command
from tests.inference.made_bundles import make_bundle
from tests.integration.swaps import (
    assert_all_is_well,
    assignments,
    metric,
    persona_versions,
    swap_to,
    wait_done,
)
from tests.rig import Rig, Worker

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

QUIET = 1_500  # buyers who come once, before the swap


@pytest.fixture
def candidate(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "candidate", seed=3, codebook_version="candidate-1")


def test_a_swap_under_load_with_a_kill_in_the_middle_reaches_every_buyer(rig: Rig, candidate: Bundle) -> None:
    workers = [rig.worker(reencode_share=0.02) for _ in range(2)]  # slow: the kill finds it half done
    for worker in workers:
        worker.wait_assigned()
    rig.send(QUIET * 3, buyers=QUIET)
    rig.wait_caught_up()
    with rig.trickle(rate=500, buyers=100):
        swap_to(rig, candidate.folder)
        rig.wait_for(lambda: persona_versions(rig)["candidate-1"] > QUIET // 4, "the walk to begin")
        assert persona_versions(rig).keys() > {"candidate-1"}, "the walk was through before the kill"
        workers[0].kill()
        wait_done(rig, "candidate-1")
    report = assert_all_is_well(rig)
    assert report.buyers > QUIET * 0.9
    said = [a for a in assignments(rig) if a.codebook_version == "candidate-1"]
    assert {a.reason for a in said} >= {"swap", "code"}
    assert len({a.buyer for a in said}) == report.buyers

    with rig.trickle(rate=500, buyers=100):  # and back, which is the same move
        swap_to(rig, starter_bundle_path())
        wait_done(rig, persona_version_of_starter(rig))
    assert_all_is_well(rig)


def persona_version_of_starter(rig: Rig) -> str:
    return next(a.codebook_version for a in assignments(rig) if a.codebook_version != "candidate-1")


def test_a_candidate_in_the_shadow_is_counted_and_says_nothing(rig: Rig, candidate: Bundle) -> None:
    (port,) = free_ports(1)
    worker: Worker = rig.worker(metrics_port=port, shadow_share=0.5)
    worker.wait_assigned()
    compared = 'simpersona_shadow_compared_total{candidate="candidate-1"}'
    with rig.trickle(rate=400):
        rig.command(encode_command(Shadow(bundle=str(candidate.folder))))
        rig.wait_for(lambda: metric(port, compared) > 200, "comparisons")
        worker.kill()
        worker.start()
        rig.wait_for(lambda: worker_answers(port) and metric(port, compared) > 0, "the shadow to come back")
        rig.command(encode_command(Shadow(bundle=None)))
    same = metric(port, 'simpersona_shadow_same_code_total{candidate="candidate-1"}')
    assert same <= metric(port, compared)
    report = rig.assert_nothing_lost()
    assert report.other_version == 0
    assert {a.codebook_version for a in assignments(rig)}.isdisjoint({"candidate-1"})


def worker_answers(port: int) -> bool:
    try:
        metric(port, "simpersona_owned_partitions")
    except OSError:
        return False
    return True


def test_workers_on_triton_take_a_version_loaded_beside_the_old_one(
    rig: Rig, candidate: Bundle, tmp_path: Path
) -> None:
    repository = build_repository(load_bundle(starter_bundle_path()), tmp_path / "models")
    triton = Triton(repository, tmp_path / "triton", owned=True)
    triton.start()
    ports = free_ports(2)
    try:
        on_triton = {"SIMPERSONA_ENCODER_RUNTIME": "triton", "SIMPERSONA_ENCODER_TRITON_URL": triton.address}
        # Waiting shows every refused request: there is nobody to stand in.
        on_triton["SIMPERSONA_ENCODER_ON_FAILURE"] = "wait"
        on_triton["SIMPERSONA_ENCODER_TIMEOUT_S"] = "20"
        for port in ports:
            rig.worker(environment=on_triton, metrics_port=port).wait_assigned()
        with rig.trickle(rate=300):
            rig.wait_for(lambda: rig.folded() > 500, "the first events")
            assert put_live(candidate, repository, triton.address)[-1] == model_version(candidate)
            swap_to(rig, candidate.folder)
            wait_done(rig, "candidate-1")
        assert_all_is_well(rig)
        for port in ports:
            assert metric(port, 'simpersona_recoveries_total{cause="EncoderUnavailableError"}') == 0
    finally:
        triton.kill()
