"""Servers that die or go back in time: the broker, the store, and what bad records do."""

from __future__ import annotations

import json
import random
import shutil
import time

import msgspec
import pytest

from feature_store.contract.erasure import ErasureRequest
from feature_store.contract.events import encode_event, record_key
from feature_store.log.erasure_writer import ErasureWriter
from feature_store.log.producer import Output
from feature_store.log.reader import LogReader
from feature_store.online.encoding import unpack_row
from ops.history.files import history_batches
from streams.control import Erase, encode_command
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


def test_store_kill_9_under_load(rig: Rig) -> None:
    draw = random.Random(6)
    worker = rig.worker()
    worker.wait_assigned()
    with rig.trickle(rate=800):
        for _ in range(2):
            rig.wait_for_more(500)
            random_moment(draw, 0, 2)
            noticed = worker.count("reading_again")
            rig.valkey.kill()
            rig.wait_for(lambda n=noticed: worker.count("reading_again") > n, "the worker to notice")
            rig.valkey.start()
    rig.assert_nothing_lost()


def test_store_rolled_back_to_an_older_copy_under_a_running_worker_heals(rig: Rig) -> None:
    rig.worker()
    rig.send(2_000)
    rig.wait_caught_up()
    rig.valkey.stop()  # a clean stop leaves the append-only file whole: this copy is the backup
    shutil.copytree(rig.valkey.folder / "data", rig.folder / "backup")
    rig.valkey.start()
    rig.send(2_000)
    rig.wait_caught_up()
    rig.valkey.stop()
    shutil.rmtree(rig.valkey.folder / "data")
    shutil.copytree(rig.folder / "backup", rig.valkey.folder / "data")
    rig.valkey.start()
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


def test_an_erased_buyer_stays_erased_through_replay_and_rollback(rig: Rig) -> None:
    worker = rig.worker()
    rig.send(1_000, buyers=10)
    rig.wait_caught_up()
    key = next(key for number in range(PARTITIONS) for key, _ in rig.rows.all_states(number))
    store, _, buyer = key.decode().partition("|")
    command = Erase(store=store, buyer=buyer, requested_at=int(time.time() * 1000))
    rig.command(encode_command(command))
    rig.wait_for(lambda: not present(rig, key), "the erasure")
    assert rig.verify().equal
    assert worker.terminate() == 0
    rig.rows.clear()  # an emptied store replays the whole topic: the buyer must not come back
    worker.start()
    rig.assert_nothing_lost()
    assert not present(rig, key)
    rig.send(300, buyers=10)  # a new life, and a second erasure of it
    rig.wait_caught_up()
    rig.command(encode_command(msgspec.structs.replace(command, requested_at=int(time.time() * 1000))))
    rig.wait_for(lambda: not present(rig, key), "the second erasure")
    # Each is heard by two starts, and written once.
    rig.wait_for(lambda: worker.count("erasures_forwarded") == 2, "the worker to tell of it")
    rig.assert_nothing_lost()


def test_an_erasure_under_lag_takes_what_still_waits_in_the_topic(rig: Rig) -> None:
    """No worker, a backlog with events of a buyer, then the erasure: none of it may come back."""
    gone = record_key("acme", f"{3:016x}")  # one of the ten of the backlog
    rig.send(2_000, buyers=10)
    writer = ErasureWriter(rig.client_config(), rig.settings.topic, rig.settings.erasures_topic, 30)
    erasure = writer.ask({gone: ErasureRequest(requested_at=int(time.time() * 1000))})[gone]
    rig.send(500, buyers=10)  # also of the buyer: a new life
    worker = rig.worker(batch_events=50)
    since: set[int] = set()

    def look() -> int:
        for row in rig.rows.read_states({erasure.partition: [gone]})[erasure.partition]:
            if row is not None:
                since.add(unpack_row(row)[0].since_offset)
        return rig.folded()

    rig.wait_for(lambda: look() >= rig.stored(), "the workers to catch up")
    rig.assert_nothing_lost()
    first_of_new_life = min(since)
    assert first_of_new_life >= erasure.before_offset
    worker.kill()
    rig.rows.clear()  # another owner, from the beginning, finds the same border
    rig.worker()
    rig.assert_nothing_lost()
    look()
    assert since == {first_of_new_life}


def test_an_archiver_killed_again_and_again_holds_every_event_once(rig: Rig) -> None:
    command = ["-m", "ops.cli.main", "archive", "--file-events", "40", "--file-seconds", "1"]
    environment, archive = rig.environment(rig.settings), rig.folder / "home" / "archive"
    draw = random.Random(7)
    with rig.trickle(rate=300):
        for _ in range(3):
            archiver = rig.process(*command, environment=environment)
            files = len(list(archive.rglob("*.parquet")))
            rig.wait_for(lambda known=files: len(list(archive.rglob("*.parquet"))) > known + 3, "new files")
            random_moment(draw, 0, 0.6)
            archiver.kill()
            archiver.wait(30)
    assert rig.process(*command, "--once", environment=environment).wait(120) == 0
    held = sorted(event.event_id for batch in history_batches(archive) for event in batch)
    assert held == sorted(f"e{n}" for n in range(1, rig.sent + 1))
    rig.worker()
    rig.assert_nothing_lost(archive)


def present(rig: Rig, key: bytes) -> bool:
    wanted = {number: [key] for number in range(PARTITIONS)}
    rows = [*rig.rows.read_states(wanted).values(), *rig.rows.read_personas(wanted).values()]
    return any(row is not None for found in rows for row in found)
