"""Workers that die: at every point of a batch and of a checkpoint, at random, and politely."""

from __future__ import annotations

import random

import pytest

from tests.rig import Rig
from tests.waiting import random_moment

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def test_kill_9_again_and_again_under_load(rig: Rig) -> None:
    pauses = random.Random(11)
    worker = rig.worker(batch_events=500, instance_id="w1")
    with rig.trickle(rate=1_500, buyers=1_000):
        for _ in range(4):
            worker.wait_assigned()
            random_moment(pauses, 0.2, 2.0)
            worker.kill()
            worker.log.write_text("")
            worker.start()
    report = rig.assert_nothing_lost()
    assert report.buyers > 500


def test_sigterm_finishes_the_checkpoint_and_leaves_at_once(rig: Rig) -> None:
    first = rig.worker()
    rig.send(2_000)
    first.wait_assigned()
    rig.wait_for(lambda: rig.folded() > 0, "the first checkpoint")
    second = rig.worker()
    with rig.trickle(rate=200):
        second.wait_assigned()
        assert first.terminate() == 0
    rig.assert_nothing_lost()
    assert first.says("partitions_revoked") or first.says("stopped")
