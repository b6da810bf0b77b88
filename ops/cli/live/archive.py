"""`simpersona archive`: keep the clickstream and the assignments as parquet."""

from __future__ import annotations

import contextlib
import json
import signal
import threading

import click

from feature_store.errors import SimpersonaError
from feature_store.log.erasures import ErasureLog
from ops.cli.options import json_option
from ops.connection import connect
from ops.past.archiver import AssignmentArchiver
from ops.past.assignment_archive import ASSIGNMENTS_FOLDER
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
    """Write the topics to partitioned parquet files named by offsets: each event once, after any kill.

    Events go to archive, assignments to assignments, both below the data folder.
    """
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
        erasures = ErasureLog(live.kafka, live.settings.erasures_topic)
        assignments = AssignmentArchiver(
            live.kafka,
            live.settings.assignments_topic,
            erasures,
            live.home / ASSIGNMENTS_FOLDER,
            file_events,
        )
        with contextlib.closing(erasures):
            if once:
                files = archiver.run(until_end=True)
                assignments.turn()
            else:
                files = _run_both(archiver, assignments, file_seconds)
    if as_json:
        click.echo(json.dumps({"files": files, "archive": str(live.home / "archive")}))
    else:
        click.echo(f"{files} files written to {live.home / 'archive'}")


def _run_both(archiver: Archiver, assignments: AssignmentArchiver, file_seconds: float) -> int:
    """Archive events here and assignments in a thread; whichever fails ends both. Returns files of events."""
    stopping, errors = threading.Event(), list[SimpersonaError]()

    def failed(error: SimpersonaError) -> None:
        errors.append(error)
        archiver.stop()

    thread = threading.Thread(target=assignments.run, args=(stopping, file_seconds, failed))
    thread.start()
    try:
        files = archiver.run()
    finally:
        stopping.set()
        thread.join()
    if errors:
        raise errors[0]
    return files
