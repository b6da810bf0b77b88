"""Rows of parquet in constant memory, with columns of other writers' types turned into ours."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_store.errors import EventSourceError
from feature_store.sources.files.dialects import MAX_COLUMNS

ROWS_PER_READ: Final = 5_000
MAX_FOOTER_BYTES: Final = 64 << 20
MAX_EXPANSION: Final = 1_000
"""Times its size that a column may unpack to; one value repeated in every row reaches about 400."""
FREE_BYTES: Final = 1 << 30
_BATCH_BYTES: Final = 128 << 20


class ParquetAbout(NamedTuple):
    """What the footer of a parquet file says."""

    schema: pa.Schema
    rows: int
    bytes_per_row: int


def about(path: Path) -> ParquetAbout:
    """Read the footer.

    Raises:
        EventSourceError: this is no parquet file, or one that cannot be a file of events.
    """
    try:
        footer = _footer_bytes(path)
        if footer > MAX_FOOTER_BYTES:
            raise EventSourceError(
                f"{path}: what it says of its columns takes {footer:,} bytes; at most "
                f"{MAX_FOOTER_BYTES:,} are read: write it with fewer columns (at most {MAX_COLUMNS:,}) or "
                "larger row groups"
            )
        with pq.ParquetFile(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
            if metadata.num_columns > MAX_COLUMNS:
                raise EventSourceError(
                    f"{path} has {metadata.num_columns:,} columns; at most {MAX_COLUMNS:,} are read"
                )
            unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    except (pa.ArrowException, OSError, struct.error) as error:
        raise EventSourceError(f"{path} is no readable parquet file: {error}") from None
    if unpacked > max(FREE_BYTES, MAX_EXPANSION * path.stat().st_size):
        raise EventSourceError(
            f"{path} unpacks to {unpacked:,} bytes, more than {MAX_EXPANSION} times its size"
        )
    return ParquetAbout(schema, metadata.num_rows, unpacked // max(metadata.num_rows, 1))


def _footer_bytes(path: Path) -> int:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < 12:
            raise EventSourceError(f"{path} is no readable parquet file: it has {size} bytes")
        file.seek(size - 8)
        footer, magic = struct.unpack("<I4s", file.read(8))
    if magic != b"PAR1" or footer + 12 > size:
        raise EventSourceError(f"{path} is no readable parquet file: its end is missing or damaged")
    return int(footer)


def batches_of(
    path: Path, columns: list[str] | None, zone: tzinfo | None, texts: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Some thousand rows at a time; only `columns` where they are named.

    Decimals become floats, or whole numbers where they have no decimals; times without a zone are of `zone`
    (None: UTC, as Spark and pandas write them); NaN, which some writers leave where they mean null, becomes
    null; columns named in `texts` that hold whole numbers become text.

    Raises:
        EventSourceError: the file is damaged.
    """
    per_row = max(about(path).bytes_per_row, 1)
    rows = max(min(ROWS_PER_READ, _BATCH_BYTES // per_row), 1)
    try:
        # With pre_buffer, the default, arrow holds every byte of the file by the time its end is reached.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(rows, columns=columns):
                names = batch.schema.names
                arrays = [
                    _ours(column, zone or UTC, name in texts)
                    for name, column in zip(names, batch.columns, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, names=names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise EventSourceError(f"{path} cannot be read: {error}") from None


def columns_of(batch: pa.RecordBatch, *, times_as_ms: bool = False) -> dict[str, list[Any]]:
    """A batch's values by column; times_as_ms: times as ms since the epoch, ten times as fast as moments.

    Raises:
        EventSourceError: a text is not UTF-8.
    """
    try:
        return {
            name: (_as_ms(column) if times_as_ms else column).to_pylist()
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
    except (pa.ArrowException, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise EventSourceError(f"a value of the file cannot be read: {error}") from None


def _as_ms(column: pa.Array) -> pa.Array:
    if not pa.types.is_timestamp(column.type):
        return column
    return column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())


def rows_of(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """A batch's records. By way of columns it is a third faster than RecordBatch.to_pylist."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def naive_columns(schema: pa.Schema, columns: Collection[str] | None) -> list[str]:
    """The columns of times that name no zone."""
    return [
        field.name
        for field in schema
        if (columns is None or field.name in columns)
        and pa.types.is_timestamp(field.type)
        and field.type.tz is None
    ]


def _ours(column: pa.Array, zone: tzinfo, as_text: bool) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_decimal(kind):
        # By way of text: a direct cast is off by a last bit (19.990000000000002).
        column = column.cast(pa.string()).cast(pa.float64()) if kind.scale > 0 else _whole(column)
        kind = column.type
    if pa.types.is_timestamp(kind):
        return _with_zone(column, zone)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _text_or_none(column)
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
        if as_text and pc.all(pc.or_kleene(pc.equal(pc.floor(column), column), pc.is_null(column))).as_py():
            column = column.cast(pa.int64(), safe=False)
            kind = column.type
    if as_text and pa.types.is_integer(kind):
        return column.cast(pa.string())
    return column


def _whole(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:  # more digits than a number has: an id
        return column.cast(pa.string())


def _with_zone(column: pa.Array, zone: tzinfo) -> pa.Array:
    """Times to the microsecond, with a zone: what is finer, Python does not hold."""
    if column.type.tz is None:
        column = pc.assume_timezone(column, str(zone), ambiguous="earliest", nonexistent="earliest")
    return column.cast(pa.timestamp("us", column.type.tz), safe=False)


def _text_or_none(column: pa.Array) -> pa.Array:
    """Bytes that are text, as some writers keep it; others mean nothing here."""
    try:
        return column.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return pa.nulls(len(column), pa.string())
