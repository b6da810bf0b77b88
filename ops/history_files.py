"""History for offline commands: a file in any supported format, or a folder that is an archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from feature_store.archive import archive_files, base_batches, read_archive_file
from feature_store.errors import EventSourceError
from feature_store.events import Event
from feature_store.identity import PlainIds
from feature_store.sources import open_events


def history_batches(path: Path) -> Iterator[list[Event]]:
    """The events of a file or an archive, in batches, in the order they arrived; ids stay as they are.

    Raises:
        EventSourceError: it cannot be read, or holds nothing.
    """
    if not path.is_dir():
        yield from open_events(path, identity=PlainIds()).batches()
        return
    if not any(path.glob("topic=*/partition=*")):
        raise EventSourceError(f"{path} is no archive: it has no topic=*/partition=* folders")
    for topic in sorted(path.glob("topic=*")):
        name = topic.name.removeprefix("topic=")
        numbers = sorted(int(p.name.removeprefix("partition=")) for p in topic.glob("partition=*"))
        for number in numbers:
            yield from base_batches(path, name, number)
            for file in archive_files(path, name, number):
                for batch in read_archive_file(file.path):
                    yield [archived.event for archived in batch]
