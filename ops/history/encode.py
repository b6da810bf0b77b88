"""Batch encode: folded history -> a parquet file of codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from feature_store.history.shards import Folded
from feature_store.online.assignment import token
from inference.calibration.stated import stated
from inference.encoders.encoder import Encoder
from inference.encoders.graph import CODES
from ops.history.parquet_tables import write_tables

CODES_SCHEMA = pa.schema(
    [
        ("store", pa.string()),
        ("buyer", pa.string()),
        ("code", pa.int16()),
        ("token", pa.string()),
        ("codebook_version", pa.string()),
        ("type", pa.string()),
        ("confidence", pa.float32()),
        ("forecast", pa.string()),
        ("forecast_probability", pa.float32()),
        ("distance", pa.float32()),
        ("margin", pa.float32()),
    ]
)
_ROWS_A_GROUP = 100_000
_TOKENS = np.array([token(code) for code in range(CODES)])


def encode_buyers(group: Folded, encoder: Encoder) -> pa.Table:
    """One row per buyer of the group, in CODES_SCHEMA; types and probabilities are null where there is
    none."""
    stores = [store for store, _ in group.buyers]
    encoding = stated(encoder.encode(group.vectors()), stores, encoder.stores)
    types = np.array([*encoder.types, None], dtype=object)  # index -1, no type, is the last
    columns = {
        "store": stores,
        "buyer": [buyer for _, buyer in group.buyers],
        "code": encoding.code,
        "token": _TOKENS[encoding.code],
        "codebook_version": [encoder.codebook_version] * len(group.buyers),
        "type": types[encoding.type],
        "confidence": pa.array(encoding.confidence, from_pandas=True),  # NaN -> null
        "forecast": types[encoding.forecast],
        "forecast_probability": pa.array(encoding.forecast_probability, from_pandas=True),
        "distance": encoding.distance,
        "margin": encoding.margin,
    }
    return pa.table(columns, schema=CODES_SCHEMA)


def write_codes(path: Path, tables: Iterable[pa.Table]) -> tuple[int, int]:
    """Write tables of encode_buyers, in the order they come; returns the buyers and how many codes are used.

    Raises:
        OSError: the file cannot be written.
    """
    used: set[int] = set()

    def noted() -> Iterator[pa.Table]:
        for table in tables:
            used.update(table["code"].unique().to_pylist())
            yield table

    return write_tables(path, CODES_SCHEMA, noted(), _ROWS_A_GROUP), len(used)
