"""`simpersona verify` on real servers: damage is named, a sample is smaller, a repair harms no worker."""

from __future__ import annotations

import pytest
import redis

from tests.integration.verifying import verify
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def damage(rig: Rig) -> None:
    """Delete and change rows of every kind, as the audit did."""
    with redis.Redis.from_url(rig.valkey.address) as client:

        def keys(kind: str) -> list[bytes]:
            return sorted(client.scan_iter(match=f"{{{rig.settings.topic}:*}}:{kind}*", count=9_000))

        personas, states = keys("persona:"), keys("state:")
        client.delete(*personas[:40])
        one, two = personas[50], personas[51]
        first, second = client.get(one), client.get(two)
        client.mset({one: second, two: first})  # type: ignore[dict-item]
        client.delete(states[3])
        row: bytes = client.get(states[5])  # type: ignore[assignment]
        client.set(states[5], row[:18] + bytes([row[18] ^ 7]) + row[19:])
        client.delete(*keys("open"), *keys("window:"))


def test_damage_is_named_and_repaired_beside_a_live_worker(rig: Rig) -> None:
    rig.worker().wait_assigned()
    rig.send(3_000)
    rig.wait_caught_up()
    status, report = verify(rig)
    assert (status, report["equal"]) == (0, True), report
    assert report["personas"] == report["buyers"] > 250
    assert report["windows"] >= PARTITIONS

    status, sampled = verify(rig, "--sample", "0.2", "--seed", "3")
    assert (status, sampled["equal"], sampled["sample"]) == (0, True, 0.2)
    assert 0 < sampled["buyers"] < report["buyers"] / 2

    damage(rig)
    status, damaged = verify(rig)
    assert status == 1
    assert damaged["personas_missing"] == 40
    assert damaged["missing"] == 1
    assert damaged["named"].keys() >= {"persona.row", "persona.buyer", "state.row", "open.row", "window.row"}

    status, refused = verify(rig, "--repair")
    assert status == 2
    assert "--yes" in refused["error"]
    with rig.trickle(rate=200):
        verify(rig, "--repair", "--yes")  # events wait meanwhile: the verdict counts afterwards
    rig.wait_caught_up()
    status, rest = verify(rig, "--repair", "--yes")  # what the worker wrote again since it was shown
    assert status == 0, rest
    rig.assert_nothing_lost()
    assert all(worker.process.poll() is None for worker in rig.workers)
