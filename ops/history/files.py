"""History for offline commands: files in any supported format, or a folder that is an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import structlog

from feature_store.contract.events import Event
from feature_store.contract.identity import Identity, PlainIds
from feature_store.errors import EventSourceError
from feature_store.history.archive import archive_files, base_batches, is_archive, read_archive_file
from feature_store.sources.choice import NOTHING_SAID, SourceChoice
from feature_store.sources.reader import open_chosen

PLAIN_IDS: Final = PlainIds()
log = structlog.get_logger(__name__)


def history_batches(
    path: Path,
    source: SourceChoice = NOTHING_SAID,
    seen: Callable[[float], object] = lambda share: None,
    identity: Identity = PLAIN_IDS,
) -> Iterator[list[Event]]:
    """The events of files or an archive, in batches, in the order they arrived.

    `source` says what the files do not say themselves. `seen` is told now and then how much was read, 0 to 1.
    `identity` names the buyers of vendors' and mapped files; by default their ids stay as they are.

    Raises:
        EventSourceError: they cannot be read, or hold no event.
    """
    if is_archive(path):
        if source.given:
            raise EventSourceError(
                f"{path} is an archive, which says all of itself: leave the options of sources out"
            )
        yield from _archive_batches(path, seen)
        return
    opened = open_chosen(path, identity, source)
    for batch in opened.batches():
        yield batch
        seen(opened.share_read)
    if not opened.report.events:
        raise EventSourceError(f"{path} holds no event: {opened.report.not_taken}")
    if opened.report.invalid:
        log.warning("records_refused", path=str(path), **opened.report.invalid)


def _archive_batches(path: Path, seen: Callable[[float], object]) -> Iterator[list[Event]]:
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
