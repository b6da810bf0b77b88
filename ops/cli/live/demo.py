"""`simpersona demo`: watch shoppers being tagged."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from ops.cli.telling import tell
from ops.interrupts import Interrupted

_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@click.option(
    "--events",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of events to send, in any format that `simpersona events check` reads. "
    "Default: generated shoppers.",
)
@click.option("--seconds", type=_POSITIVE, help="Send for so long. Default: 20; a file: all of it.")
@click.option("--rate", type=_POSITIVE, help="Events per second. Default: 500; a file takes about 30 s.")
@click.option("--triton", is_flag=True, help="Encode on a Triton server of its own (380 MB, once).")
@click.option("--stay", is_flag=True, help="Keep everything running afterwards, until Ctrl-C.")
@click.option(
    "--summary", type=click.Path(path_type=Path, dir_okay=False), help="Write the summary here, as JSON."
)
def demo(
    events: Path | None,
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
    started = time.monotonic()

    def say(line: str) -> None:
        # Not click.echo: it keeps hold of the stderr that the live view has to stand in for.
        tell(f"[{time.monotonic() - started:5.1f} s] {line}")

    try:
        say("getting ready")
        from rich.console import Console

        from ops.demo.display.screen import screen
        from ops.demo.run import DemoOptions, run_demo

        options = DemoOptions(events, seconds, rate, triton, stay, summary)
        console = Console(highlight=False)
        run_demo(options, screen(console, say), console, say)
    except Interrupted as interrupted:
        say("interrupted; everything is stopped")
        sys.exit(interrupted.code)
