"""`simpersona verify` on real servers: damage is named, a sample is smaller, a repair harms no worker."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import redis

from feature_store.log.topics import end_offsets
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def verify(rig: Rig, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit status and report of the command."""
    ran = subprocess.run(
        [sys.executable, "-m", "ops.cli.main", "verify", "--json", *options],
        env=rig.environment(rig.settings),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.stdout or ran.returncode, ran.stderr
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else {"error": ran.stderr}


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


def test_a_damaged_row_holds_its_partition_until_it_is_repaired(rig: Rig) -> None:
    worker = rig.worker()
    rig.send(300, buyers=40)
    rig.wait_caught_up()
    assert worker.terminate() == 0
    held, key, row = next((n, *pair) for n in range(PARTITIONS) for pair in rig.rows.all_states(n))
    name = f"{{{rig.settings.topic}:{held}}}:state:".encode() + key
    with redis.Redis.from_url(rig.valkey.address) as client:
        assert client.get(name) == row
        client.set(name, row[:-3])
    worker.start()
    rig.send(600, buyers=40)
    rig.wait_for(lambda: worker.says("partition_held"), "the partition to be held")
    line = next(line for line in worker.log.read_text().splitlines() if "partition_held" in line)
    said = json.loads(line)
    assert (said["partition"], said["store"]) == (held, "acme")
    assert key.partition(b"|")[2].decode() not in line
    others = [number for number in range(PARTITIONS) if number != held]
    ends = end_offsets(rig.client_config(), rig.settings.topic, others)

    def others_went_on() -> bool:
        progress = rig.rows.progress_of(others)
        return all((at := progress[n]) is not None and at.next_offset >= end for n, end in ends.items())

    rig.wait_for(others_went_on, "the other partitions to go on")
    waits = rig.rows.progress(held)
    assert waits is not None
    assert waits.next_offset == said["offset"]
    assert "state.length" in verify(rig)[1]["named"]
    verify(rig, "--repair", "--yes")
    rig.assert_nothing_lost()
    assert worker.process.poll() is None


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
