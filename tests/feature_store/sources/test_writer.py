"""Files of events appear whole, in a format that the name says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_store.contract.events import Event
from feature_store.errors import EventSourceError
from feature_store.sources.writer import write_events
from tests.strategies import event


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EventSourceError, match=r"name it \.ndjson, \.jsonl or \.parquet"):
        write_events(tmp_path / "a.csv", iter([]))


@pytest.mark.parametrize("name", ["a.ndjson", "a.parquet"])
def test_a_failure_midway_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_events(path, [[event()]])
    before = path.read_bytes()

    def failing() -> Iterator[list[Event]]:
        yield [event(event_id="e2")]
        raise OSError("the disk is full")

    with pytest.raises(EventSourceError, match="cannot be written"):
        write_events(path, failing())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]
