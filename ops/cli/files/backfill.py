"""`simpersona backfill`: history into the online store."""

from __future__ import annotations

import json
from pathlib import Path

import click

from feature_store.contract.identity import LazyBuyerHasher
from feature_store.log.topics import partition_count
from feature_store.sources.choice import SourceChoice
from ops.cli.files.events_path import EVENTS_PATH
from ops.cli.files.source_options import source_options
from ops.cli.options import json_option
from ops.connection import connect
from ops.history.backfill import backfill as load
from ops.history.progress_bars import progress_bars, read_with_bar


@click.command()
@click.argument("path", type=EVENTS_PATH)
@source_options
@json_option
def backfill(path: Path, source: SourceChoice, as_json: bool) -> None:
    """Load the history of PATH into the store, before a first start.

    PATH: files that `simpersona events check` accepts, or an archive folder. Buyer ids of vendors' and mapped
    files become pseudonyms under the key of buyer ids, as those of events that come later over the API.
    """
    with connect() as live, progress_bars() as bars:
        count = partition_count(live.kafka, live.settings.topic)
        written = load(
            read_with_bar(path, bars, source, LazyBuyerHasher(live.home)),
            live.rows,
            live.home / "archive",
            count,
            live.settings.allowed_lateness_ms,
        )
    if as_json:
        click.echo(json.dumps({"buyers": sum(written.values()), "partitions": count}))
    else:
        click.echo(f"{sum(written.values())} buyers written to {count} partitions")
