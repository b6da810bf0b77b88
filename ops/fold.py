"""Folded history as a parquet file: what a data scientist joins with their own tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_store.fold.behavior import COUNTER
from feature_store.fold.vector import EMBEDDING_SIZE, EMBEDDINGS, MASKS, N_SCALARS, PRODUCT_SETS, SCALARS
from feature_store.history.shards import Folded
from ops.tables import write_tables

_ROWS_A_GROUP = 20_000  # 30 MB in memory


def feature_schema() -> pa.Schema:
    """store, buyer, the 16 scalars by name, three embeddings, three masks, first and last time (ms UTC)."""
    return pa.schema(
        [("store", pa.string()), ("buyer", pa.string())]
        + [(scalar.name, pa.float32()) for scalar in SCALARS]
        + [(f"{name}_embedding", pa.list_(pa.float32(), EMBEDDING_SIZE)) for name in PRODUCT_SETS]
        + [(f"has_{name}", pa.float32()) for name in PRODUCT_SETS]
        + [("first_time", pa.int64()), ("last_time", pa.int64())]
    )


def write_features(path: Path, groups: Iterable[Folded]) -> int:
    """Write one row a buyer, in the order they come; returns how many.

    Raises:
        OSError: the file cannot be written.
    """
    return write_tables(path, feature_schema(), map(_table, groups), _ROWS_A_GROUP)


def _table(group: Folded) -> pa.Table:
    vectors, counters = group.vectors(), group.states.counters
    columns = [pa.array([store for store, _ in group.buyers]), pa.array([buyer for _, buyer in group.buyers])]
    columns += [pa.array(vectors[:, i]) for i in range(N_SCALARS)]
    columns += [_embedding(vectors, i) for i in range(len(PRODUCT_SETS))]
    columns += [pa.array(vectors[:, MASKS.start + i]) for i in range(len(PRODUCT_SETS))]
    columns += [pa.array(counters[:, COUNTER[name]]) for name in ("first_time", "last_time")]
    return pa.Table.from_arrays(columns, schema=feature_schema())


def _embedding(vectors: NDArray[np.float32], which: int) -> pa.Array:
    start = EMBEDDINGS.start + which * EMBEDDING_SIZE
    flat = pa.array(np.ascontiguousarray(vectors[:, start : start + EMBEDDING_SIZE]).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, EMBEDDING_SIZE)
