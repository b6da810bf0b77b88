"""`simpersona demo`: watch shoppers being tagged."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from feature_store.sources.choice import SourceChoice
from ops.cli.files.events_path import EVENTS_PATH
from ops.cli.files.source_options import source_options
from ops.cli.telling import tell
from ops.interrupts import Interrupted

_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@click.option(
    "--events",
    type=EVENTS_PATH,
    help="Events to send: a file, folder or pattern that `simpersona events check` reads. "
    "Default: generated shoppers.",
)
@source_options
@click.option("--seconds", type=_POSITIVE, help="Send for so long. Default: 20; a file: all of it.")
@click.option("--rate", type=_POSITIVE, help="Events per second. Default: 500; a file takes about 30 s.")
@click.option("--triton", is_flag=True, help="Encode on a Triton server of its own (380 MB, once).")
@click.option("--stay", is_flag=True, help="Keep everything running afterwards, until Ctrl-C.")
@click.option(
    "--summary", type=click.Path(path_type=Path, dir_okay=False), help="Write the summary here, as JSON."
)
def demo(
    events: Path | None,
    source: SourceChoice,
    seconds: float | None,
    rate: float | None,
    triton: bool,
    stay: bool,
    summary: Path | None,
) -> None:
    """Tag live shoppers on a real Kafka, online store and worker, then prove that nothing was lost.

    Everything runs in the data folder's `demo`, which is emptied first, and ends with this command.
    Kill the worker meanwhile (its pid is on the screen) and watch it come back.
    """
    if events is None and source.given:
        raise click.UsageError("--format, --mapping, --store, --timezone and --decimal go with --events")
    started = time.monotonic()

    def say(line: str) -> None:
        # Not click.echo: it keeps hold of the stderr that the live view has to stand in for.
        tell(f"[{time.monotonic() - started:5.1f} s] {line}")

    try:
        say("getting ready")
        from rich.console import Console

        from ops.demo.display.screen import screen
        from ops.demo.run import DemoOptions, run_demo

        options = DemoOptions(events, source, seconds, rate, triton, stay, summary)
        console = Console(highlight=False)
        run_demo(options, screen(console, say), console, say)
    except Interrupted as interrupted:
        say("interrupted; everything is stopped")
        sys.exit(interrupted.code)
