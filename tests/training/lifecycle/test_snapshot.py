from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from feature_store.contract.events import Event
from feature_store.errors import EventSourceError
from feature_store.history.archive import ArchivedEvent, archive_files, purge, write_archive_file, write_bases
from feature_store.sources.writer import write_events
from training.errors import RetrainError
from training.lifecycle.snapshot import Snapshot, snapshot_batches, take_archive, take_files


def event(number: int, buyer: str = "a") -> Event:
    return Event(
        schema_version=1,
        event_id=f"e{number}",
        store="s",
        buyer=buyer,
        type="page_view",
        timestamp=1_763_900_000_000 + number,
    )


def archive(folder: Path, start: int, end: int, buyers: str = "ab") -> None:
    events = [
        ArchivedEvent(event(i, buyer), 0, i, i)
        for i, buyer in zip(range(start, end), itertools.cycle(buyers), strict=False)
    ]
    write_archive_file(folder, "clickstream", 0, start, end, events)


def read(snapshot: Snapshot, void: dict[bytes, int] | None = None) -> list[str]:
    batches = snapshot_batches(snapshot, (void or {}).get)
    return [it.event_id for batch in batches for it in batch]


def test_what_is_archived_later_is_not_in_it(tmp_path: Path) -> None:
    archive(tmp_path, 0, 4)
    snapshot = take_archive(tmp_path, "now")
    archive(tmp_path, 4, 9)
    assert read(snapshot) == ["e0", "e1", "e2", "e3"]
    assert snapshot.parts[0].events == 4
    assert read(take_archive(tmp_path, "later"))[-1] == "e8"


def test_history_from_before_the_topic_comes_first(tmp_path: Path) -> None:
    write_bases(tmp_path, "clickstream", [[event(100)]], lambda _: 0, 1)
    archive(tmp_path, 0, 2)
    assert read(take_archive(tmp_path, "now")) == ["e100", "e0", "e1"]


def test_an_erased_buyer_is_left_out_up_to_the_erasure(tmp_path: Path) -> None:
    write_bases(tmp_path, "clickstream", [[event(100), event(101, "b")]], lambda _: 0, 1)
    archive(tmp_path, 0, 6)
    snapshot = take_archive(tmp_path, "now")
    assert read(snapshot, {b"s|a": 4}) == ["e101", "e1", "e3", "e4", "e5"]
    assert read(snapshot, {b"s|b": 0}) == ["e100", "e0", "e1", "e2", "e3", "e4", "e5"]


def test_a_purged_archive_is_the_same_snapshot_without_the_buyer(tmp_path: Path) -> None:
    archive(tmp_path, 0, 6)
    snapshot = take_archive(tmp_path, "now")
    purge(tmp_path, "clickstream", 0, {("s", "a"): 6})
    assert read(snapshot) == ["e1", "e3", "e5"]


def test_an_archive_that_lost_its_end_is_refused(tmp_path: Path) -> None:
    archive(tmp_path, 0, 4)
    archive(tmp_path, 4, 6)
    snapshot = take_archive(tmp_path, "now")
    archive_files(tmp_path, "clickstream", 0)[-1].path.unlink()
    with pytest.raises(RetrainError, match="ends before offset 6"):
        read(snapshot)


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EventSourceError, match="holds no events"):
        take_archive(tmp_path, "now")


def test_files_are_read_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    write_events(path, [[event(1), event(2, "b")]])
    snapshot = take_files([path], "now")
    assert read(snapshot) == ["e1", "e2"]
    assert read(snapshot, {b"s|b": 7}) == ["e1"]
    write_events(path, [[event(3)]])
    with pytest.raises(RetrainError, match="is not what it was"):
        read(snapshot)
