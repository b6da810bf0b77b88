"""`simpersona backfill`: history into the online store."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def backfill(path: Path, as_json: bool) -> None:
    """Load the history of PATH (a file or an archive folder) into the store, before a first start."""
    from feature_store.log.topics import partition_count
    from ops.backfill import backfill as load
    from ops.connect import connect
    from ops.history_files import history_batches

    with connect() as live:
        count = partition_count(live.kafka, live.settings.topic)
        written = load(
            history_batches(path), live.rows, live.home / "archive", count, live.settings.allowed_lateness_ms
        )
    if as_json:
        click.echo(json.dumps({"buyers": sum(written.values()), "partitions": count}))
    else:
        click.echo(f"{sum(written.values())} buyers written to {count} partitions")
