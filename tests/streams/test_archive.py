"""The archive holds every accepted event once, after any kill, and forgets who was erased."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from confluent_kafka import Producer

from feature_store.contract.erasure import Erasure, ErasureRequest, encode_erasure
from feature_store.contract.events import Event, encode_event, record_key
from feature_store.contract.partitions import partition_of
from feature_store.errors import EventSourceError
from feature_store.history.archive import archive_files, read_archive_file, write_archive_file
from feature_store.log.erasure_writer import ErasureWriter
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from feature_store.log.reader import LogReader
from ops.history.files import history_batches
from ops.stack.kafka import Kafka
from streams.archive import Archiver
from tests.strategies import START, event

pytestmark = pytest.mark.integration
PARTITIONS = 2


def send(kafka: Kafka, topic: str, events: list[Event]) -> None:
    output = Output(kafka.client_config(), 30)
    for e in events:
        output.send(topic, record_key(e.store, e.buyer), encode_event(e))
    output.send(topic, b"acme|b1", b"{poison")
    output.flush()


def some(count: int, first: int = 0) -> list[Event]:
    return [
        event(event_id=f"e{i}", buyer=f"b{i % 7}", timestamp=START + i, price=1.5)
        for i in range(first, first + count)
    ]


def archived(folder: Path) -> list[str]:
    return sorted(e.event_id for batch in history_batches(folder) for e in batch)


@pytest.fixture
def topics(make_topic: Callable[..., str]) -> tuple[str, str]:
    return make_topic(PARTITIONS, "clicks"), make_topic(PARTITIONS, "erasures", cleanup_policy="compact")


def archiver(kafka: Kafka, topics: tuple[str, str], folder: Path) -> Archiver:
    erasures = ErasureLog(kafka.client_config(), topics[1])
    trimmer: Any = Mock()
    return Archiver(kafka.client_config(), topics[0], erasures, trimmer, folder, file_events=50, file_s=60)


def test_each_event_once_over_restarts_and_a_kill(
    kafka: Kafka, topics: tuple[str, str], tmp_path: Path
) -> None:
    send(kafka, topics[0], some(300))
    archiver(kafka, topics, tmp_path).run(until_end=True)
    assert archived(tmp_path) == sorted(f"e{i}" for i in range(300))
    # A kill leaves an unfinished file and no finished one for those offsets.
    last = archive_files(tmp_path, topics[0], 0)[-1]
    last.path.rename(last.path.with_suffix(".unfinished"))
    send(kafka, topics[0], some(100, first=300))
    archiver(kafka, topics, tmp_path).run(until_end=True)
    assert archived(tmp_path) == sorted(f"e{i}" for i in range(400))
    archiver(kafka, topics, tmp_path).run(until_end=True)
    assert archived(tmp_path) == sorted(f"e{i}" for i in range(400))


def test_a_transactions_marker_at_the_end_is_not_waited_for(
    kafka: Kafka, topics: tuple[str, str], tmp_path: Path
) -> None:
    producer = Producer({**kafka.client_config(), "transactional.id": topics[0], "partitioner": "murmur2"})
    producer.init_transactions()
    producer.begin_transaction()
    for e in some(20):
        producer.produce(topics[0], encode_event(e), record_key(e.store, e.buyer))
    producer.commit_transaction()
    archiver(kafka, topics, tmp_path).run(until_end=True)
    assert archived(tmp_path) == sorted(f"e{i}" for i in range(20))
    with LogReader(kafka.client_config()) as reader:
        ends = [reader.bounds(topics[0], number)[1] for number in range(PARTITIONS)]
    assert [archive_files(tmp_path, topics[0], number)[-1].end for number in range(PARTITIONS)] == ends


def test_what_comes_back_is_what_was_sent(kafka: Kafka, topics: tuple[str, str], tmp_path: Path) -> None:
    sent = some(40)
    send(kafka, topics[0], sent)
    archiver(kafka, topics, tmp_path).run(until_end=True)
    found = {e.event_id: e for batch in history_batches(tmp_path) for e in batch}
    assert found == {e.event_id: e for e in sent}


def test_erased_buyers_leave_the_files(kafka: Kafka, topics: tuple[str, str], tmp_path: Path) -> None:
    send(kafka, topics[0], some(70))
    archiver(kafka, topics, tmp_path).run(until_end=True)
    key = record_key("acme", "b3")
    now = int(time.time() * 1000)
    erasure = Erasure(
        partition=partition_of(key, PARTITIONS), before_offset=1_000, requested_at=now, erased_at=now
    )
    output = Output(kafka.client_config(), 30)
    output.send(topics[1], key, encode_erasure(erasure))
    output.flush()
    archiver(kafka, topics, tmp_path).run(until_end=True)
    assert archived(tmp_path) == sorted(f"e{i}" for i in range(70) if i % 7 != 3)


def test_what_comes_between_a_withdrawal_and_a_return_is_not_archived(
    kafka: Kafka, topics: tuple[str, str], tmp_path: Path
) -> None:
    writer = ErasureWriter(kafka.client_config(), *topics, 30)
    key = record_key("acme", "b3")
    for consent in ("withdrawn", "given"):
        send(kafka, topics[0], some(70))
        archiver(kafka, topics, tmp_path).run(until_end=True)
        writer.ask({key: ErasureRequest(requested_at=1, consent=consent)})  # type: ignore[arg-type]
    late = [msgspec.structs.replace(event, event_id=f"late-{event.event_id}") for event in some(7)]
    send(kafka, topics[0], late)
    archiver(kafka, topics, tmp_path).run(until_end=True)
    assert [it for it in archived(tmp_path) if it in ("e3", "late-e3")] == ["late-e3"]


def test_a_gap_between_files_is_refused(tmp_path: Path) -> None:
    write_archive_file(tmp_path, "t", 0, 0, 10, [])
    write_archive_file(tmp_path, "t", 0, 12, 20, [])
    with pytest.raises(EventSourceError, match="not whole"):
        archive_files(tmp_path, "t", 0)


def test_a_damaged_file_is_one_clear_error(tmp_path: Path) -> None:
    path = write_archive_file(tmp_path, "t", 0, 0, 10, [])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(EventSourceError, match="cannot be read"):
        list(read_archive_file(path))
