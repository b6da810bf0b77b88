"""Batch encode: folded history -> a parquet file of codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_store.history import History
from inference.assignment import token
from inference.encoder import Encoder
from inference.graph import CODES

CODES_SCHEMA = pa.schema(
    [
        ("store", pa.string()),
        ("buyer", pa.string()),
        ("code", pa.int16()),
        ("token", pa.string()),
        ("codebook_version", pa.string()),
        ("type", pa.string()),
        ("confidence", pa.float32()),
        ("distance", pa.float32()),
        ("margin", pa.float32()),
    ]
)


def write_codes(out: Path, history: History, encoder: Encoder) -> int:
    """Encode every buyer of the history into `out`, one row a buyer in the order of first arrival.

    type and confidence are null where the bundle gives none. Returns how many codes are used.
    """
    encoding = encoder.encode(history.vectors())
    buyers = history.buyers
    tokens = np.array([token(code) for code in range(CODES)])
    types = np.array([*encoder.types, None], dtype=object)  # index -1, no type, is the last
    columns = {
        "store": [store for store, _ in buyers],
        "buyer": [buyer for _, buyer in buyers],
        "code": encoding.code,
        "token": tokens[encoding.code],
        "codebook_version": [encoder.codebook_version] * len(buyers),
        "type": types[encoding.type],
        "confidence": pa.array(encoding.confidence, from_pandas=True),  # NaN -> null
        "distance": encoding.distance,
        "margin": encoding.margin,
    }
    beside = out.with_name(f".{out.name}.part")
    pq.write_table(pa.table(columns, schema=CODES_SCHEMA), beside)
    beside.replace(out)
    return len(np.unique(encoding.code))
