"""`simpersona fold`: buyers' features from history."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Parquet file to write."
)
@click.option("--prefix", type=click.IntRange(min=1), help="Fold at most so many events a buyer.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def fold(path: Path, out: Path, prefix: int | None, as_json: bool) -> None:
    """Fold the events of PATH (a file or an archive folder) into one row of features a buyer.

    A history larger than memory is split on disk, in a folder beside the output file; its rows then come in
    no particular order.
    """
    from feature_store.history.shards import fold_shards, shard_events
    from feature_store.workspace import publish, workspace
    from ops.fold import write_features
    from ops.progress import progress_bars, read_with_bar

    with workspace(out) as work, progress_bars() as bars:
        shards = shard_events(read_with_bar(path, bars), work / "shards")
        each = bars.track(shards, description="folding buyers")
        buyers = write_features(work / "features.parquet", fold_shards(each, prefix=prefix))
        publish(work / "features.parquet", out)
    if as_json:
        click.echo(json.dumps({"buyers": buyers, "out": str(out)}))
    else:
        click.echo(f"{buyers} buyers written to {out}")
