"""A parquet file written table by table, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_tables(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], rows_per_group: int) -> int:
    """Write tables one after the other, about `rows_per_group` rows to a row group; returns the rows written.

    Raises:
        OSError: the file cannot be written.
    """
    rows = 0
    held: list[pa.Table] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            held.append(table)
            rows += len(table)
            if sum(map(len, held)) >= rows_per_group:
                writer.write_table(pa.concat_tables(held))
                held = []
        if held:
            writer.write_table(pa.concat_tables(held))
    return rows
