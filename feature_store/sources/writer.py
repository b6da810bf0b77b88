"""Write events to a file: NDJSON or parquet, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from feature_store.contract.events import Event, encode_event
from feature_store.errors import EventSourceError
from feature_store.history.archive import ARCHIVE_SCHEMA

EVENT_SCHEMA: Final = pa.schema([ARCHIVE_SCHEMA.field(name) for name in Event.__struct_fields__])


def write_events(path: Path, batches: Iterable[list[Event]]) -> int:
    """Write by the suffix (.ndjson, .jsonl, .parquet), beside `path` first and renamed when whole; how many.

    Raises:
        EventSourceError: another suffix, or the file cannot be written.
    """
    writers = {".ndjson": _write_ndjson, ".jsonl": _write_ndjson, ".parquet": _write_parquet}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise EventSourceError(f"{path} cannot be written: name it .ndjson, .jsonl or .parquet")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            count = write(file, batches)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except OSError as error:
        raise EventSourceError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _write_ndjson(file: IO[bytes], batches: Iterable[list[Event]]) -> int:
    count = 0
    for batch in batches:
        file.write(b"".join(encode_event(event) + b"\n" for event in batch))
        count += len(batch)
    return count


def _write_parquet(file: IO[bytes], batches: Iterable[list[Event]]) -> int:
    count = 0
    with pq.ParquetWriter(file, EVENT_SCHEMA, compression="zstd") as writer:
        for batch in batches:
            columns = [[getattr(event, name) for event in batch] for name in EVENT_SCHEMA.names]
            writer.write_table(pa.table(columns, schema=EVENT_SCHEMA))
            count += len(batch)
    return count
