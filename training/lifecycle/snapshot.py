"""What a retrain learns from: a history as it stood when the retrain began.

A snapshot is a list, not a copy: the archive's files up to an offset a partition (they are never
appended to), or files of events, each with its SHA-256. So a rerun days later reads the same events, less
those of buyers who were erased meanwhile; no buyer's data is kept beside the archive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.parquet as pq

from feature_store.contract.events import Event, record_key
from feature_store.contract.identity import PlainIds
from feature_store.errors import EventSourceError
from feature_store.history.archive import archive_files, base_batches, partition_folder, read_archive_file
from feature_store.sources.choice import NOTHING_SAID, SourceChoice
from feature_store.sources.files.folders import files_of
from feature_store.sources.reader import open_chosen
from training.errors import RetrainError

VoidBefore = Callable[[bytes], int | None]
"""Record key -> the offset below which an erasure made the buyer's events void; None: not erased."""

_BEFORE_ALL: Final = -1  # the offset of history from before the topic


class ArchivePart(msgspec.Struct, frozen=True, kw_only=True):
    """Of one partition, all that came before the topic and its offsets [.., end)."""

    topic: str
    partition: int
    end: int
    events: int
    sha256: str


class EventFile(msgspec.Struct, frozen=True, kw_only=True):
    """Files of events that were named on the command line, by one path, and what was said of them."""

    path: str
    sha256: str
    source: SourceChoice = NOTHING_SAID


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """snapshot.json: parts of the archive folder, or files. taken_at is RFC 3339 UTC."""

    taken_at: str
    archive: str | None = None
    parts: tuple[ArchivePart, ...] = ()
    files: tuple[EventFile, ...] = ()

    def sources(self) -> list[str]:
        """What a manifest says of it."""
        archives = [
            f"archive of {it.topic}/{it.partition} before offset {it.end}, {it.events} events, "
            f"sha256 {it.sha256}"
            for it in self.parts
        ]
        return archives + [f"{Path(it.path).name}, sha256 {it.sha256}" for it in self.files]


def take_archive(archive: Path, taken_at: str) -> Snapshot:
    """List an archive folder as it is now.

    Raises:
        EventSourceError: it is no archive, has a gap, or holds no event.
    """
    parts = []
    for folder in sorted(archive.glob("topic=*/partition=*")):
        topic = folder.parent.name.removeprefix("topic=")
        number = int(folder.name.removeprefix("partition="))
        files = archive_files(archive, topic, number)
        base = partition_folder(archive, topic, number) / "base.parquet"
        paths = ([base] if base.exists() else []) + [file.path for file in files]
        parts.append(
            ArchivePart(
                topic=topic,
                partition=number,
                end=files[-1].end if files else 0,
                events=sum(pq.read_metadata(path).num_rows for path in paths),
                sha256=_digest(paths),
            )
        )
    if not sum(part.events for part in parts):
        raise EventSourceError(f"the archive {archive} holds no events; run `simpersona archive`")
    return Snapshot(taken_at=taken_at, archive=str(archive.resolve()), parts=tuple(parts))


def take_files(paths: Sequence[Path], taken_at: str, source: SourceChoice = NOTHING_SAID) -> Snapshot:
    """List files of events, or folders or patterns of them; `source` says what they do not say themselves."""
    files = (
        EventFile(path=str(path.resolve()), sha256=_digest(_read_for(path, source)), source=source)
        for path in paths
    )
    return Snapshot(taken_at=taken_at, files=tuple(files))


def snapshot_batches(snapshot: Snapshot, void_before: VoidBefore) -> Iterator[list[Event]]:
    """The events of a snapshot in batches, in the order they arrived, without erased buyers'.

    Raises:
        RetrainError: a file is gone or holds other events now.
        EventSourceError: a file is damaged.
    """
    for part in snapshot.parts:
        yield from _part_batches(Path(str(snapshot.archive)), part, void_before)
    for file in snapshot.files:
        path = Path(file.path)
        if not _is_as_listed(path, file):
            raise RetrainError(
                f"{path} or its mapping file is not what it was when the retrain began; begin anew with "
                "--restart"
            )
        for batch in open_chosen(path, PlainIds(), file.source).batches():
            yield [event for event in batch if _stays(event, _BEFORE_ALL, void_before)]


def _read_for(path: Path, source: SourceChoice) -> list[Path]:
    """All files that decide which events `path` holds."""
    mapping = [] if source.mapping is None else [Path(source.mapping)]
    return files_of(path).paths + mapping


def _is_as_listed(path: Path, file: EventFile) -> bool:
    try:
        return _digest(_read_for(path, file.source)) == file.sha256
    except (EventSourceError, OSError):
        return False


def _part_batches(archive: Path, part: ArchivePart, void_before: VoidBefore) -> Iterator[list[Event]]:
    files = archive_files(archive, part.topic, part.partition)
    if part.end and (not files or files[-1].end < part.end):
        raise RetrainError(
            f"the archive of {part.topic}/{part.partition} ends before offset {part.end}, where it ended "
            f"when the retrain began; restore it, or begin anew with --restart"
        )
    for batch in base_batches(archive, part.topic, part.partition):
        yield [event for event in batch if _stays(event, _BEFORE_ALL, void_before)]
    for file in files:
        if file.start >= part.end:
            break
        for archived in read_archive_file(file.path):
            inside = (it for it in archived if it.offset < part.end)
            yield [it.event for it in inside if _stays(it.event, it.offset, void_before)]


def _stays(event: Event, offset: int, void_before: VoidBefore) -> bool:
    void = void_before(record_key(event.store, event.buyer))
    return void is None or offset >= void


def _digest(paths: Sequence[Path]) -> str:
    """SHA-256 of one file; of several, of their digests in order."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
