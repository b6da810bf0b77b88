"""`simpersona archive`: keep the clickstream as parquet."""

from __future__ import annotations

import json
import signal

import click

from ops.cli.options import json_option
from ops.connection import connect
from streams.archive import Archiver
from streams.erasures.ending import Trimmer


@click.command()
@click.option("--once", is_flag=True, help="Archive up to the present end of the topic, then stop.")
@click.option(
    "--file-events", default=200_000, show_default=True, help="Finish a file after so many offsets."
)
@click.option("--file-seconds", default=300.0, show_default=True, help="Finish a file after so many seconds.")
@json_option
def archive(once: bool, file_events: int, file_seconds: float, as_json: bool) -> None:
    """Write the topic to partitioned parquet files named by offsets: each event once, after any kill."""
    with connect() as live:
        trimmer = Trimmer(live.kafka, live.erasure_writer(), live.lives(), live.rows.progress_of)
        archiver = Archiver(
            live.kafka,
            live.settings.topic,
            live.erasures,
            trimmer,
            live.home / "archive",
            file_events,
            file_seconds,
        )
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: archiver.stop())
        files = archiver.run(until_end=once)
    if as_json:
        click.echo(json.dumps({"files": files, "archive": str(live.home / "archive")}))
    else:
        click.echo(f"{files} files written to {live.home / 'archive'}")
