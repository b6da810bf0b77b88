"""Folded history as a parquet file: what a data scientist joins with their own tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_store.behavior import COUNTER
from feature_store.history import History
from feature_store.vector import EMBEDDING_SIZE, EMBEDDINGS, MASKS, N_SCALARS, PRODUCT_SETS, SCALARS

_ROWS_A_GROUP = 20_000


def feature_schema() -> pa.Schema:
    """store, buyer, the 16 scalars by name, three embeddings, three masks, first and last time (ms UTC)."""
    return pa.schema(
        [("store", pa.string()), ("buyer", pa.string())]
        + [(scalar.name, pa.float32()) for scalar in SCALARS]
        + [(f"{name}_embedding", pa.list_(pa.float32(), EMBEDDING_SIZE)) for name in PRODUCT_SETS]
        + [(f"has_{name}", pa.float32()) for name in PRODUCT_SETS]
        + [("first_time", pa.int64()), ("last_time", pa.int64())]
    )


def write_features(out: Path, history: History) -> int:
    """Write one row a buyer, in the order of first arrival; returns how many. Whole or not at all."""
    buyers, vectors = history.buyers, history.vectors()
    counters = history.table.states.counters[history.table.rows()]
    beside = out.with_name(f".{out.name}.part")
    with pq.ParquetWriter(beside, feature_schema(), compression="zstd") as writer:
        for at in range(0, len(buyers), _ROWS_A_GROUP):
            rows = slice(at, at + _ROWS_A_GROUP)
            writer.write_table(_table(buyers[rows], vectors[rows], counters[rows]))
    beside.replace(out)
    return len(buyers)


def _table(buyers: list[tuple[str, str]], vectors: np.ndarray, counters: np.ndarray) -> pa.Table:
    columns = [pa.array([store for store, _ in buyers]), pa.array([buyer for _, buyer in buyers])]
    columns += [pa.array(vectors[:, i]) for i in range(N_SCALARS)]
    for i in range(len(PRODUCT_SETS)):
        start = EMBEDDINGS.start + i * EMBEDDING_SIZE
        flat = pa.array(np.ascontiguousarray(vectors[:, start : start + EMBEDDING_SIZE]).ravel())
        columns.append(pa.FixedSizeListArray.from_arrays(flat, EMBEDDING_SIZE))
    columns += [pa.array(vectors[:, MASKS.start + i]) for i in range(len(PRODUCT_SETS))]
    columns += [pa.array(counters[:, COUNTER[name]]) for name in ("first_time", "last_time")]
    return pa.Table.from_arrays(columns, schema=feature_schema())
