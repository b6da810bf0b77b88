"""An installation of release 0.1.0 (commit 2862afe) under the present worker: served alike, verified equal.

tests/data/release-0.1.0 is what that release's own workers left of 230 events in Kafka, Valkey and archive;
the last 40 of them no worker has folded yet. bundle/ is its starter bundle, of feature version 1.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
import redis

from feature_store.errors import FencedError, RowVersionError
from feature_store.fold.behavior import COUNTER
from feature_store.history.archive import archive_files, read_archive_file
from feature_store.online.client import open_store
from feature_store.online.encoding import Progress, is_of_an_earlier_release, unpack_row
from feature_store.online.fence import Checkpoint
from feature_store.online.reads import BuyerReader
from feature_store.online.rows import OnlineRows
from feature_store.online.servers.shared_cluster import open_shared
from inference.api.access.key_log import KnownKeys
from inference.api.access.register import KeyRegister
from inference.bundles.bundle import load_bundle
from inference.encoders.onnx import OnnxEncoder
from ops.stack.valkey import Valkey
from tests.simulation.chunk import silence
from tests.simulation.oracle import verified
from tests.simulation.worker import SETTINGS, Outside, Worker

pytestmark = pytest.mark.integration

DATA: Final = Path(__file__).parents[1] / "data" / "release-0.1.0"
TOPICS: Final = {
    "clicks": SETTINGS.topic,
    "assignments": SETTINGS.assignments_topic,
    "dead": SETTINGS.dead_letters_topic,
    "erasures": SETTINGS.erasures_topic,
}


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    with silence():
        yield


@dataclass
class Installation:
    """The old installation: its topics in the simulated Kafka, its keys in a real Valkey."""

    outside: Outside
    rows: OnlineRows
    address: str
    encoder: OnnxEncoder

    def states(self) -> dict[bytes, bytes]:
        """All state rows, by Kafka key."""
        return {key: row for n in range(self.outside.partitions) for key, row in self.rows.all_states(n)}

    def personas(self) -> dict[bytes, bytes]:
        """All persona rows, by Kafka key."""
        return {key: row for n in range(self.outside.partitions) for key, row in self.rows.all_personas(n)}

    def verified(self) -> Any:
        """verify's report."""
        return verified(self.outside, self.rows, [self.encoder])

    def run_present_worker(self) -> Worker:
        """Fold what waits with the present code, checkpoint, and stop."""
        worker = Worker(self.outside, "present", 1, encoder=self.encoder, rows=self.rows)
        for _ in range(600):
            worker.process.step()
            self.outside.clock.advance(0.05)
            if self.waiting() == 0:
                break
        worker.loop.stop()
        while worker.process.alive:
            worker.process.step()
        if worker.process.ended_with is not None:
            raise worker.process.ended_with
        return worker

    def waiting(self) -> int:
        """Records that the store has not folded."""
        numbers = list(range(self.outside.partitions))
        folded = self.rows.progress_of(numbers)
        return sum(
            self.outside.clicks.ends[n] - (at.next_offset if (at := folded[n]) else 0) for n in numbers
        )


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Installation]:
    kept = json.loads(gzip.decompress((DATA / "installation.json.gz").read_bytes()))
    server = Valkey(tmp_path / "valkey", owned=True)
    server.start()
    try:
        yield _installation(server, kept)
    finally:
        server.kill()


def _installation(server: Valkey, kept: dict[str, Any]) -> Installation:
    _restore(redis.Redis.from_url(server.address), kept["store"])
    outside = Outside(kept["partitions"], cache_buyers=8)
    outside.clock.wall_ms = kept["made_at_ms"]
    for name, records in kept["topics"].items():
        log = outside.logs[TOPICS[name]]
        for partition, offset, created_ms, key, value in records:
            log.ends[partition] = offset
            log.append(_bytes(key), _bytes(value), created_ms, partition)
    encoder = OnnxEncoder(load_bundle(DATA / "bundle"))
    return Installation(outside, OnlineRows(server.address, SETTINGS.topic), server.address, encoder)


def _restore(client: redis.Redis, keys: list[dict[str, Any]]) -> None:
    for one in keys:
        name, value = _bytes(one["key"]), one["value"]
        assert name is not None
        if one["kind"] == "string":
            client.set(name, _bytes(value) or b"")
        elif one["kind"] == "hash":
            client.hset(name.decode(), mapping={_bytes(field): _bytes(row) for field, row in value})
        elif one["kind"] == "set":
            client.sadd(name.decode(), *(_bytes(member) for member in value))
        else:
            client.zadd(name, {_bytes(member): score for member, score in value})
        if one["left_ms"] > 0:
            client.pexpire(name, one["left_ms"])
    client.close()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def test_what_the_old_release_served_is_served_the_same(old: Installation) -> None:
    personas, states = old.personas(), old.states()
    assert len(personas) == len(states) > 20
    assert all(is_of_an_earlier_release(row) for row in states.values())

    no_topic: Any = SimpleNamespace(read=KnownKeys)  # that release had none

    async def read() -> list[Any]:
        store, shared = open_store(old.address), open_shared(old.address)
        try:
            return [
                await BuyerReader(shared, SETTINGS.topic).read(list(personas)),
                await KeyRegister(store, no_topic).all(),
            ]
        finally:
            await shared.aclose()
            await store.aclose()

    answers, keys = asyncio.run(read())
    assert [key.note for key in keys] == ["kept over the upgrade"]
    for (key, persona), answer in zip(personas.items(), answers, strict=True):
        wanted = json.loads(persona)
        # The type of that release was a forecast, and is served as one.
        wanted |= {"forecast": wanted["type"], "forecast_probability": wanted["confidence"]}
        wanted |= {"type": None, "confidence": None}
        assert {name: getattr(answer.persona, name) for name in wanted} == wanted
        # A row of 0.1.0: version (H), since_offset and last_offset (q), 8 bytes more, then the counters.
        since_offset, _last_offset = struct.unpack_from("<qq", states[key], 2)
        (last_time,) = struct.unpack_from("<q", states[key], 26 + 8 * COUNTER["last_time"])
        assert (answer.state.since_offset, answer.state.last_time) == (since_offset, last_time)


def test_verify_says_equal_before_during_and_after_the_upgrade(old: Installation) -> None:
    before, states = old.verified(), old.states()
    assert before.not_folded == old.waiting() > 0
    assert before.named == {}
    assert before.earlier_rows == len(states)
    old.run_present_worker()
    after, now = old.verified(), old.states()
    assert after.equal, after
    rewritten = [key for key, row in now.items() if not is_of_an_earlier_release(row)]
    assert 0 < len(rewritten) < len(now)
    assert after.earlier_rows == len(now) - len(rewritten)
    assert all(now[key] == row for key, row in states.items() if key not in rewritten)
    folds = {key: unpack_row(now[key])[0].fold for key in rewritten}
    assert {fold for key, fold in folds.items() if key in states} == {1}, "a row keeps the fold that began it"


def test_the_old_worker_is_kept_off_by_the_fence(old: Installation) -> None:
    known = old.rows.owned_of(range(old.outside.partitions))
    old.run_present_worker()
    for number, owned in known.items():
        assert owned.progress is not None
        assert owned.progress.row_version == 1
        change = Checkpoint(owned.progress._replace(sequence=owned.progress.sequence + 1))
        with pytest.raises(FencedError):
            old.rows.checkpoint(number, change, owned.progress)
        with pytest.raises(FencedError):
            old.rows.write_personas(
                {number: [(b"acme|x", 1, b"{}")]}, b"v", {number: (owned.progress, owned.persona_writes)}
            )
        # What release 0.1.0 does with the row when the group gives it the partition.
        with pytest.raises(ValueError, match="too many values"):
            _offset, _watermark, _sequence = map(int, (old.rows.stored_progress(number) or b"").split())


def test_a_worker_waits_where_a_later_release_has_been(old: Installation) -> None:
    progress = old.rows.owned_of([0])[0].progress
    assert progress is not None
    later = progress._replace(row_version=progress.row_version + 9)
    old.rows.checkpoint(0, Checkpoint(later), progress)
    before = old.rows.stored_progress(0)
    worker = Worker(old.outside, "present", 1, encoder=old.encoder, rows=old.rows)
    for _ in range(60):
        worker.process.step()
        old.outside.clock.advance(0.5)
    assert worker.process.alive
    with pytest.raises(RowVersionError, match="a later release has written here"):
        Progress.from_bytes(before or b"")
    assert old.rows.stored_progress(0) == before
    worker.process.kill(0)


def test_the_archive_is_read_as_the_topic_is(old: Installation) -> None:
    read = 0
    for number in range(old.outside.partitions):
        for file in archive_files(DATA / "archive", SETTINGS.topic, number):
            for batch in read_archive_file(file.path):
                for one in batch:
                    record = old.outside.clicks.records[number][one.offset]
                    assert json.loads(record.value_ or b"")["event_id"] == one.event.event_id
                    read += 1
    assert read > 50
