"""The archive: the clickstream as parquet files named by offsets, Feast's offline store.

    <home>/archive/topic=clickstream/partition=3/00000000000000001200-00000000000000003400.parquet

    <home>/archive/topic=clickstream/partition=3/base.parquet

A file's name gives the offsets [start, end) that it covers. So the files show where to go on after a kill,
and no offset is stored twice (docs/adr/0007). A file is written under another name, synced and renamed, so it
is complete or absent. base.parquet is history from before the topic (`simpersona backfill`), at offset -1.
The columns are those of the event, and partition, offset and created (CreateTime, ms). The file's metadata
holds the calibrations (feature_store.contract.calibration) that lie between its events, with their offsets.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from feature_store.contract.calibration import Calibration
from feature_store.contract.events import Event
from feature_store.errors import EventSourceError

_EVENT_SCHEMA: Final = pa.schema(
    [
        ("schema_version", pa.int8()),
        ("event_id", pa.string()),
        ("store", pa.string()),
        ("buyer", pa.string()),
        ("session_id", pa.string()),
        ("type", pa.string()),
        ("timestamp", pa.int64()),
        ("product_id", pa.string()),
        ("category", pa.string()),
        ("brand", pa.string()),
        ("price", pa.float64()),
        ("currency", pa.string()),
        ("quantity", pa.int64()),
        ("value", pa.float64()),
        ("query", pa.string()),
        ("order", pa.string()),
        ("line", pa.string()),
    ]
)
ARCHIVE_SCHEMA: Final = pa.schema(
    [*_EVENT_SCHEMA, ("partition", pa.int32()), ("offset", pa.int64()), ("created", pa.int64())]
)
_BATCH_ROWS: Final = 20_000
_BASE: Final = "base.parquet"
_CALIBRATIONS: Final = b"simpersona-calibrations"


class ArchivedEvent(NamedTuple):
    """An event and its place in the log."""

    event: Event
    partition: int
    offset: int
    created: int


class ArchiveFile(NamedTuple):
    """A file and the offsets [start, end) that it covers."""

    path: Path
    start: int
    end: int


def partition_folder(archive: Path, topic: str, partition: int) -> Path:
    """The folder with the files of a partition."""
    return archive / f"topic={topic}" / f"partition={partition}"


def is_archive(path: Path) -> bool:
    """Whether a folder is laid out as an archive."""
    return any(path.glob("topic=*/partition=*")) if path.is_dir() else False


def archive_files(archive: Path, topic: str, partition: int) -> list[ArchiveFile]:
    """The files of a partition in order of offsets.

    Raises:
        EventSourceError: two files overlap, or a range is missing between them: the archive was changed.
    """
    files = []
    for path in sorted(partition_folder(archive, topic, partition).glob("*-*.parquet")):
        start, _, end = path.stem.partition("-")
        files.append(ArchiveFile(path, int(start), int(end)))
    for before, after in itertools.pairwise(files):
        if before.end != after.start:
            raise EventSourceError(
                f"the archive is not whole: {before.path.name} is followed by {after.path.name} in "
                f"{before.path.parent}; restore the missing file or remove the overlapping one"
            )
    return files


def write_archive_file(
    archive: Path,
    topic: str,
    partition: int,
    start: int,
    end: int,
    events: Sequence[ArchivedEvent],
    calibrations: Sequence[tuple[int, Calibration]] = (),
) -> Path:
    """Write the accepted events of offsets [start, end), and its calibrations with their offsets. Refused
    records have no row."""
    path = partition_folder(archive, topic, partition) / f"{start:020d}-{end:020d}.parquet"
    table = _table(events)
    if calibrations:
        table = table.replace_schema_metadata({_CALIBRATIONS: msgspec.json.encode(calibrations)})
    write_whole_table(path, table)
    return path


def write_bases(
    archive: Path,
    topic: str,
    batches: Iterable[Sequence[Event]],
    partition_of: Callable[[Event], int],
    partitions: int,
) -> None:
    """Write each partition's history from before the topic, in the order of `batches`.

    Memory stays at some thousand events. The files take the place of earlier ones when all are written.
    """
    paths = [partition_folder(archive, topic, number) / _BASE for number in range(partitions)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = [path.with_suffix(".unfinished") for path in paths]
    waiting: list[list[ArchivedEvent]] = [[] for _ in paths]
    try:
        with ExitStack() as files:
            writers = [
                files.enter_context(pq.ParquetWriter(path, ARCHIVE_SCHEMA, compression="zstd"))
                for path in unfinished
            ]

            def write(number: int) -> None:
                writers[number].write_table(_table(waiting[number]))
                waiting[number].clear()

            for batch in batches:
                for event in batch:
                    number = partition_of(event)
                    waiting[number].append(ArchivedEvent(event, number, -1, event.timestamp))
                    if len(waiting[number]) >= _BATCH_ROWS:
                        write(number)
            for number in range(partitions):
                write(number)
        for path, written in zip(paths, unfinished, strict=True):
            _put_in_place(written, path)
    finally:
        for path in unfinished:
            path.unlink(missing_ok=True)


def base_batches(archive: Path, topic: str, partition: int) -> Iterator[list[Event]]:
    """A partition's history from before the topic, in batches; none if none was loaded."""
    path = partition_folder(archive, topic, partition) / _BASE
    if path.exists():
        for batch in read_archive_file(path):
            yield [archived.event for archived in batch]


def purge(archive: Path, topic: str, partition: int, void_before: Mapping[tuple[str, str], int]) -> int:
    """Rewrite the files of a partition, of events or of assignments, without the rows that are void; returns
    the number of those.

    void_before: (store, buyer) -> the offset of the clickstream below which the buyer's rows are void.
    """
    removed = 0
    folder = partition_folder(archive, topic, partition)
    for path in sorted(folder.glob("*.parquet")) if void_before else []:
        table = pq.read_table(path, partitioning=None)
        buyers = zip(table["store"].to_pylist(), table["buyer"].to_pylist(), strict=True)
        offsets = table["offset"].to_pylist()
        keep = [at >= void_before.get(buyer, -1) for buyer, at in zip(buyers, offsets, strict=True)]
        if not all(keep):
            removed += len(keep) - sum(keep)
            write_whole_table(path, table.filter(pa.array(keep)))
    return removed


def write_whole_table(path: Path, table: pa.Table) -> None:
    """Write a parquet file so that it is complete or absent, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
    _put_in_place(unfinished, path)


def _put_in_place(written: Path, path: Path) -> None:
    with written.open("rb") as file:
        os.fsync(file.fileno())
    written.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)  # the rename itself must survive a power cut
    os.close(folder)


def _table(events: Iterable[ArchivedEvent]) -> pa.Table:
    rows = [
        {
            **msgspec.structs.asdict(e.event),
            "partition": e.partition,
            "offset": e.offset,
            "created": e.created,
        }
        for e in events
    ]
    return pa.Table.from_pylist(rows, schema=ARCHIVE_SCHEMA)


def read_archive_file(path: Path) -> Iterator[list[ArchivedEvent]]:
    """The events of one file in batches, in the order of offsets.

    Raises:
        EventSourceError: the file is damaged.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:  # see files.read_rows
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield _archived(batch)
    except (pa.ArrowException, OSError, KeyError, msgspec.ValidationError) as error:
        raise EventSourceError(f"the archive file {path} cannot be read: {error}") from error


def archived_events_of(path: Path, store: str, buyer: str) -> list[ArchivedEvent]:
    """The events of one buyer in a file, in the order of offsets.

    Raises:
        EventSourceError: the file is damaged.
    """
    try:
        table = pq.read_table(
            path, partitioning=None, filters=[("store", "=", store), ("buyer", "=", buyer)], pre_buffer=False
        )
        return [archived for batch in table.to_batches() for archived in _archived(batch)]
    except (pa.ArrowException, OSError, KeyError, msgspec.ValidationError) as error:
        raise EventSourceError(f"the archive file {path} cannot be read: {error}") from error


def base_file(archive: Path, topic: str, partition: int) -> Path | None:
    """The file with a partition's history from before the topic; None if none was loaded."""
    path = partition_folder(archive, topic, partition) / _BASE
    return path if path.exists() else None


def archived_calibrations(path: Path) -> list[tuple[int, Calibration]]:
    """The calibrations of one file, each with its offset, in their order.

    Raises:
        EventSourceError: the file is damaged.
    """
    try:
        raw = (pq.read_schema(path).metadata or {}).get(_CALIBRATIONS, b"[]")
        return msgspec.json.decode(raw, type=list[tuple[int, Calibration]])
    except (pa.ArrowException, OSError, msgspec.MsgspecError) as error:
        raise EventSourceError(f"the archive file {path} cannot be read: {error}") from error


def _archived(batch: pa.RecordBatch) -> list[ArchivedEvent]:
    names = [name for name in _EVENT_SCHEMA.names if name in batch.schema.names]  # 0.2.0: no order, no line
    values = zip(*(batch[name].to_pylist() for name in names), strict=True)
    events = msgspec.convert([dict(zip(names, row, strict=True)) for row in values], list[Event])
    places = (batch[name].to_pylist() for name in ("partition", "offset", "created"))
    return list(map(ArchivedEvent, events, *places))
