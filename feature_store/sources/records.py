"""Records of a file, one at a time with its place, in constant memory: lines of NDJSON, rows of parquet."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_store.errors import EventSourceError

LINE_SUFFIXES: Final = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")
_ROWS_PER_READ: Final = 5_000
_READ_AT_ONCE: Final = 1 << 16
_UTF8_BOM: Final = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line's number (from 1), its first bytes (as many as the limit), its whole length with line end."""

    number: int
    raw: bytes
    length: int


def is_lines(path: Path) -> bool:
    """Whether the name ends as one of an NDJSON file."""
    return path.name.lower().endswith(LINE_SUFFIXES)


def read_lines(path: Path, limit: int) -> Iterator[Line]:
    """The lines that are not blank. Of a line over `limit` bytes, only the first `limit` are held.

    Raises:
        EventSourceError: the file cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield from _lines(file, limit)
    except (OSError, EOFError, zlib.error) as error:
        raise EventSourceError(f"{path} cannot be read: {error}") from None


def _lines(file: gzip.GzipFile | io.BufferedReader, limit: int) -> Iterator[Line]:
    number = 0
    while tail := file.readline(_READ_AT_ONCE):
        number += 1
        raw = tail.removeprefix(_UTF8_BOM) if number == 1 else tail
        length = len(raw)
        while not tail.endswith(b"\n") and (tail := file.readline(_READ_AT_ONCE)):
            length += len(tail)
            raw += tail[: max(limit - len(raw), 0)]
        if length > limit or raw.strip():
            yield Line(number, raw[:limit], length)


def line_bytes(path: Path) -> int:
    """How many bytes read_lines will go through; for a .gz over 4 GiB or of several parts, too few."""
    size = path.stat().st_size
    if path.suffix.lower() != ".gz" or size < 4:
        return size
    with path.open("rb") as file:
        file.seek(-4, io.SEEK_END)
        return int.from_bytes(file.read(), "little")  # ISIZE, RFC 1952


def parquet_columns(path: Path) -> list[str]:
    """The names of the columns.

    Raises:
        EventSourceError: this is no parquet file.
    """
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise EventSourceError(f"{path} is no readable parquet file: {error}") from None


def parquet_rows(path: Path) -> int:
    """The number of rows.

    Raises:
        EventSourceError: this is no parquet file.
    """
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise EventSourceError(f"{path} is no readable parquet file: {error}") from None


def read_rows(path: Path, columns: Sequence[str] | None) -> Iterator[list[dict[str, Any]]]:
    """The rows, some thousand at a time; only `columns` where they are named.

    Some writers of parquet leave NaN where they mean null; JSON has no such number, so it is read as null.

    Raises:
        EventSourceError: the file is damaged.
    """
    try:
        # With pre_buffer, the default, arrow holds every byte of the file by the time its end is reached.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(
                _ROWS_PER_READ, columns=None if columns is None else list(columns)
            ):
                # Column by column is a third faster than RecordBatch.to_pylist.
                values = (_without_nan(column).to_pylist() for column in batch.columns)
                names = batch.schema.names
                yield [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise EventSourceError(f"{path} cannot be read: {error}") from None


def _without_nan(column: pa.Array) -> pa.Array:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
