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
    """Fold the events of PATH (a file or an archive folder) into one row of features a buyer."""
    from feature_store.history import fold_history
    from ops.fold import write_features
    from ops.history_files import history_batches

    buyers = write_features(out, fold_history(history_batches(path), prefix=prefix))
    if as_json:
        click.echo(json.dumps({"buyers": buyers, "out": str(out)}))
    else:
        click.echo(f"{buyers} buyers written to {out}")
