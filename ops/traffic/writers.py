"""Write the ground truth of generated traffic to a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from ops.traffic.errors import TrafficError

TRUTH_SCHEMA: Final = pa.schema([("store", pa.string()), ("buyer", pa.string()), ("type", pa.string())])


def write_truth(path: Path, batches: Iterable[tuple[list[str], list[str], list[str]]]) -> int:
    """Write (stores, buyers, types) as parquet, one row per buyer; returns the number of rows.

    Raises:
        TrafficError: the file cannot be written.
    """
    count = 0
    try:
        with pq.ParquetWriter(path, TRUTH_SCHEMA) as writer:
            for columns in batches:
                writer.write_table(pa.table(list(columns), schema=TRUTH_SCHEMA))
                count += len(columns[0])
    except OSError as error:
        raise TrafficError(f"cannot write {path}: {error}") from error
    return count
