"""The archive of assignments: their topic as parquet files named by offsets, to be asked and joined.

    <home>/assignments/topic=persona-assignments/partition=3/00000000000000000000-00000000000000000700.parquet

Named like the archive of the clickstream (feature_store.history.archive), and in a folder of its own: who
reads that one reads events. The columns are those of the assignment, then its own offset on its topic,
`since` (the offset of the clickstream from which on it held) and `body` (the topic's bytes). A file's
metadata names the highest offset of the clickstream that was assigned before its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from feature_store.errors import EventSourceError
from feature_store.history.archive import partition_folder, write_whole_table
from feature_store.online.assignment import Assignment, decode_assignment

ASSIGNMENTS_FOLDER: Final = "assignments"
"""Below the data folder."""
_INTS: Final = frozenset(
    {"schema_version", "code", "events", "event_time", "assigned_at", "partition", "offset"}
)
_FLOATS: Final = frozenset({"confidence", "forecast_probability", "distance", "margin"})


def _type_of(name: str) -> pa.DataType:
    return pa.int64() if name in _INTS else pa.float64() if name in _FLOATS else pa.string()


SCHEMA: Final = pa.schema(
    [
        *((f.name, _type_of(f.name)) for f in msgspec.structs.fields(Assignment)),
        ("assignments_offset", pa.int64()),
        ("since", pa.int64()),
        ("body", pa.binary()),
    ]
)
_REACHED: Final = b"simpersona-reached"


class ArchivedAssignment(NamedTuple):
    """An assignment, its offset on its own topic, the offset of the clickstream from which on it held, and
    the topic's bytes of it."""

    assignment: Assignment
    offset: int
    since: int
    raw: bytes


def write_assignments(
    archive: Path,
    topic: str,
    partition: int,
    start: int,
    end: int,
    assignments: Sequence[ArchivedAssignment],
    reached: int,
) -> None:
    """Write offsets [start, end) of a partition. reached: the highest offset of the clickstream that an
    assignment before `end` is of; -1: none."""
    rows = [
        {
            **msgspec.structs.asdict(one.assignment),
            "assignments_offset": one.offset,
            "since": one.since,
            "body": one.raw,
        }
        for one in assignments
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata({_REACHED: b"%d" % reached}))
    write_whole_table(partition_folder(archive, topic, partition) / f"{start:020d}-{end:020d}.parquet", table)


def reached_in(path: Path) -> int:
    """The highest offset of the clickstream that was assigned before the end of a file.

    Raises:
        EventSourceError: the file is damaged.
    """
    try:
        return int((pq.read_schema(path).metadata or {})[_REACHED])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise EventSourceError(f"the archive file {path} cannot be read: {error}") from error


def archived_assignments(path: Path, key: bytes) -> list[ArchivedAssignment]:
    """The assignments of one buyer (Kafka key) in a file, in the topic's order.

    Raises:
        EventSourceError: the file is damaged.
    """
    store, _, buyer = key.decode().partition("|")
    wanted = [("store", "=", store), ("buyer", "=", buyer)]
    columns = ["assignments_offset", "since", "body"]
    try:
        table = pq.read_table(path, columns=columns, filters=wanted, partitioning=None, pre_buffer=False)
        places = zip(*(table[name].to_pylist() for name in columns), strict=True)
        return [ArchivedAssignment(decode_assignment(raw), at, since, raw) for at, since, raw in places]
    except (pa.ArrowException, OSError, KeyError, msgspec.DecodeError) as error:
        raise EventSourceError(f"the archive file {path} cannot be read: {error}") from error
