"""A row that cannot be read, under a real worker, and `verify` that mends it."""

from __future__ import annotations

import json

import pytest
import redis

from feature_store.log.topics import end_offsets
from tests.integration.verifying import verify
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


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
