"""What the commands of the studies share: options, progress, and the last line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from training.evaluation.cells import rounded

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

held_out_option: Final = click.option(
    "--held-out", multiple=True, help="Store to leave out; default: all that show a funnel."
)


def out_option(files: str) -> Decorator:
    """--out, the folder of the report; files: what is written there."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("docs"),
        show_default=True,
        help=f"Folder for {files}.",
    )


def work_option(folder: str) -> Decorator:
    """--work, the folder of what is done."""
    return click.option(
        "--work",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(folder),
        show_default=True,
        help="Folder of what is done, to go on from; remove it after a change of code.",
    )


def tell(line: str) -> None:
    """A line of progress, on stderr."""
    click.echo(line, err=True)


def say_outcome(report: dict[str, Any], bars: Sequence[dict[str, Any]], page: Path, *, as_json: bool) -> None:
    """The report as JSON, or how many bars were won and where the figures are."""
    if as_json:
        click.echo(json.dumps(rounded(report)))
    else:
        click.echo(f"{sum(bar['won'] for bar in bars)} of {len(bars)} bars won; {page} has the figures")
