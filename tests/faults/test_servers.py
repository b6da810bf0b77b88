"""A broker that is killed, and what bad records do. A store that dies or goes back in time: tests/long."""

from __future__ import annotations

import json
import random
import time

import pytest

from feature_store.contract.events import encode_event, record_key
from feature_store.log.producer import Output
from feature_store.log.reader import LogReader
from tests.rig import PARTITIONS, Rig
from tests.waiting import random_moment

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def test_broker_kill_9_under_load(rig: Rig) -> None:
    draw = random.Random(5)
    rig.worker().wait_assigned()
    with rig.trickle(rate=1_000):
        for _ in range(2):
            rig.wait_for_more(500)
            random_moment(draw, 0, 2)
            rig.kafka.kill()
            random_moment(draw, 0, 2)
            rig.kafka.start()
    rig.assert_nothing_lost()


def test_poison_becomes_dead_letters_and_stops_nothing(rig: Rig) -> None:
    rig.worker().wait_assigned()
    good = rig.event()
    key, raw = record_key(good.store, good.buyer), encode_event(good)
    fields = json.loads(raw)

    def spoiled(**changes: object) -> bytes:
        return json.dumps(fields | changes).encode()

    poison = {
        b"": "empty",
        b"{not json": "malformed_json",
        b"[]": "invalid_field",
        b"\xff\xfe": "invalid_utf8",
        spoiled(type="teleport"): "invalid_field",
        spoiled(timestamp=-5): "invalid_field",
        spoiled(timestamp=int(time.time() * 1000) + 3_600_000): "future_timestamp",
        spoiled(price=1e308): "invalid_field",
        spoiled(price="12"): "invalid_field",
        spoiled(buyer=""): "invalid_field",
        spoiled(buyer=None): "invalid_field",
        spoiled(store="a|b"): "invalid_field",
        spoiled(buyer="x" * 1_000_000): "too_large",
        spoiled(query="x" * 20_000_000): "too_large",
        spoiled(buyer="somebody-else"): "key_mismatch",
    }
    output = Output({**rig.client_config(), "message.max.bytes": 32 << 20}, 60)
    for number, value in enumerate(poison):
        output.send(rig.settings.topic, key, value)
        if number % 3 == 0:
            output.send(rig.settings.topic, key, raw)  # redelivered in between: counts once
    output.flush()
    rig.send(500)
    report = rig.assert_nothing_lost()
    assert report.buyers > 100
    assert sorted(reasons(rig)) == sorted(poison.values())


def reasons(rig: Rig) -> list[str]:
    with LogReader(rig.client_config()) as log:
        return [
            json.loads(message.value())["reason"]
            for number in range(PARTITIONS)
            for batch in log.read(rig.settings.dead_letters_topic, number)
            for message in batch
        ]
