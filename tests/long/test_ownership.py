"""Named members, the consumer protocol (KIP-848), and a zombie that really slept."""

from __future__ import annotations

import random

import pytest

from tests.faults.churn import churn
from tests.rig import Rig
from tests.waiting import random_moment

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("membership", "rate"), [("static", 150), ("kip-848", 1_000)])
def test_churn_of_three_workers_loses_nothing(rig: Rig, membership: str, rate: int) -> None:
    churn(rig, membership, rate)


def test_two_fresh_workers_with_static_ids_under_a_trickle(rig: Rig) -> None:
    with rig.trickle(rate=300):
        for turn in range(2):
            pair = [rig.worker(instance_id=f"fresh-{turn}-{n}") for n in range(2)]
            for worker in pair:
                worker.wait_assigned()
            rig.wait_for_more(100)
            for worker in pair:
                worker.terminate()
    rig.worker().wait_assigned()
    rig.assert_nothing_lost()


def test_a_zombie_that_wakes_up_overwrites_nothing(rig: Rig) -> None:
    zombie = rig.worker(checkpoint_ms=2_000)
    zombie.wait_assigned()
    with rig.trickle(rate=400):
        rig.wait_for_more(400)
        random_moment(random.Random(8), 0.5, 1.5)  # work in its cache that no checkpoint holds yet
        zombie.freeze()
        heir = rig.worker()
        heir.wait_assigned()
        rig.wait_for_more(200)  # by the heir: nobody else can
        zombie.thaw()
        rig.wait_for(lambda: zombie.says("partitions_lost"), "the zombie to hear of it")
        rig.wait_for_more(200)
    rig.assert_nothing_lost()
