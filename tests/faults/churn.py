"""Workers that come and go while events flow."""

from __future__ import annotations

import random

from tests.rig import Rig
from tests.waiting import random_moment


def churn(rig: Rig, membership: str, rate: int) -> None:
    """Kill, stop and start three workers in turn under `rate` events/s; nothing may be lost.

    membership: dynamic, static (named members) or kip-848 (the consumer protocol).
    """
    chance = random.Random(f"{membership}{rate}")
    protocol = {"group_protocol": "consumer"} if membership == "kip-848" else {}
    named = [{"instance_id": f"member-{n}"} if membership == "static" else {} for n in range(3)]
    workers = [rig.worker(**protocol, **name) for name in named]
    with rig.trickle(rate=rate, buyers=500):
        workers[0].wait_assigned()
        for _ in range(4):
            victim = chance.choice(workers)
            if chance.random() < 0.5:
                victim.kill()
            else:
                victim.terminate()
            random_moment(chance, 0.0, 2.0)
            victim.start()
            random_moment(chance, 0.5, 4.0)
    rig.assert_nothing_lost()
