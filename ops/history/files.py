"""History for offline commands: a file in any supported format, or a folder that is an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from feature_store.contract.events import Event
from feature_store.contract.identity import PlainIds
from feature_store.errors import EventSourceError
from feature_store.history.archive import archive_files, base_batches, read_archive_file
from feature_store.sources.reader import open_events

log = structlog.get_logger(__name__)


def history_batches(
    path: Path, seen: Callable[[float], object] = lambda share: None
) -> Iterator[list[Event]]:
    """The events of a file or an archive, in batches, in the order they arrived; ids stay as they are.

    `seen` is told now and then how much of `path` was read, 0 to 1.

    Raises:
        EventSourceError: it cannot be read, or holds no event.
    """
    if path.is_dir():
        yield from _archive_batches(path, seen)
        return
    source = open_events(path, identity=PlainIds())
    for batch in source.batches():
        yield batch
        seen(source.share_read)
    if not source.report.events:
        raise EventSourceError(f"{path} holds no event: {source.report.not_taken}")
    if source.report.invalid:
        log.warning("records_refused", path=str(path), **source.report.invalid)


def _archive_batches(path: Path, seen: Callable[[float], object]) -> Iterator[list[Event]]:
    if not any(path.glob("topic=*/partition=*")):
        raise EventSourceError(f"{path} is no archive: it has no topic=*/partition=* folders")
    total = sum(file.stat().st_size for file in path.glob("topic=*/partition=*/*.parquet"))
    done = 0
    for topic in sorted(path.glob("topic=*")):
        name = topic.name.removeprefix("topic=")
        numbers = sorted(int(p.name.removeprefix("partition=")) for p in topic.glob("partition=*"))
        for number in numbers:
            yield from base_batches(path, name, number)
            for file in archive_files(path, name, number):
                for batch in read_archive_file(file.path):
                    yield [archived.event for archived in batch]
                done += file.path.stat().st_size
                seen(min(done / total, 1.0))
