"""History from before the topic goes to its partitions as it is read, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_store.contract.events import Event
from feature_store.errors import EventSourceError
from feature_store.history.archive import base_batches, write_bases
from tests.strategies import START, event

TOPIC = "clicks"


def some(count: int) -> list[Event]:
    return [event(event_id=f"e{i}", buyer=f"b{i % 5}", timestamp=START + i, price=1.5) for i in range(count)]


def partition(one: Event) -> int:
    return int(one.buyer[1:]) % 3


def written(archive: Path) -> list[list[Event]]:
    return [[one for batch in base_batches(archive, TOPIC, number) for one in batch] for number in range(3)]


def test_each_partition_has_its_events_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_store.history.archive._BATCH_ROWS", 7)
    events = some(100)
    write_bases(tmp_path, TOPIC, (events[at : at + 9] for at in range(0, 100, 9)), partition, 3)
    assert written(tmp_path) == [[one for one in events if partition(one) == number] for number in range(3)]


def test_a_file_that_breaks_off_changes_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[list[Event]]:
        yield some(50)
        raise EventSourceError("cut off")

    write_bases(tmp_path, TOPIC, [some(4)], partition, 3)
    before = written(tmp_path)
    with pytest.raises(EventSourceError, match="cut off"):
        write_bases(tmp_path, TOPIC, broken(), partition, 3)
    assert written(tmp_path) == before
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"base.parquet"}


def test_history_without_events_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    write_bases(tmp_path, TOPIC, [some(10)], partition, 3)
    write_bases(tmp_path, TOPIC, [], partition, 3)
    assert written(tmp_path) == [[], [], []]
