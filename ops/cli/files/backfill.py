"""`simpersona backfill`: history into the online store."""

from __future__ import annotations

import json
from pathlib import Path

import click

from feature_store.log.topics import partition_count
from ops.cli.options import json_option
from ops.connection import connect
from ops.history.backfill import backfill as load
from ops.history.files import history_batches


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@json_option
def backfill(path: Path, as_json: bool) -> None:
    """Load the history of PATH (a file or an archive folder) into the store, before a first start."""
    with connect() as live:
        count = partition_count(live.kafka, live.settings.topic)
        written = load(
            history_batches(path), live.rows, live.home / "archive", count, live.settings.allowed_lateness_ms
        )
    if as_json:
        click.echo(json.dumps({"buyers": sum(written.values()), "partitions": count}))
    else:
        click.echo(f"{sum(written.values())} buyers written to {count} partitions")
