"""`simpersona fold`: buyers' features from history."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_store.fold.behavior import COUNTER
from feature_store.fold.vector import EMBEDDING_SIZE, EMBEDDINGS, MASKS, N_SCALARS, PRODUCT_SETS, SCALARS
from feature_store.history.shards import Folded, fold_shards, shard_events
from feature_store.sources.choice import SourceChoice
from feature_store.workspace import publish, workspace
from ops.cli.files.events_path import EVENTS_PATH
from ops.cli.files.source_options import source_options
from ops.cli.options import json_option
from ops.history.parquet_tables import write_tables
from ops.history.progress_bars import progress_bars, read_with_bar

_ROWS_PER_GROUP = 20_000  # 30 MB in memory


@click.command()
@click.argument("path", type=EVENTS_PATH)
@source_options
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Parquet file to write."
)
@click.option("--prefix", type=click.IntRange(min=1), help="Fold at most so many events per buyer.")
@json_option
def fold(path: Path, source: SourceChoice, out: Path, prefix: int | None, as_json: bool) -> None:
    """Fold the events of PATH into one row of features per buyer.

    PATH: files that `simpersona events check` accepts, or an archive folder.

    A history larger than memory is split on disk, in a folder beside the output file; its rows then come in
    no particular order.
    """
    with workspace(out) as work, progress_bars() as bars:
        shards = shard_events(read_with_bar(path, bars, source), work / "shards")
        each = bars.track(shards, description="folding buyers")
        buyers = write_features(work / "features.parquet", fold_shards(each, prefix=prefix))
        publish(work / "features.parquet", out)
    if as_json:
        click.echo(json.dumps({"buyers": buyers, "out": str(out)}))
    else:
        click.echo(f"{buyers} buyers written to {out}")


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
    """Write one row per buyer, in the order they come; returns the number of rows.

    Raises:
        OSError: the file cannot be written.
    """
    return write_tables(path, feature_schema(), map(_table, groups), _ROWS_PER_GROUP)


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
