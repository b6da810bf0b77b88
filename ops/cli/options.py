"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ops.cli.files.events_path import EVENTS_PATH

json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print the report as JSON on stdout."
)
bundle_option: Final = click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Bundle folder; default: the one that answers.",
)
no_announce_option: Final = click.option(
    "--no-announce", is_flag=True, help="Do not tell workers: Kafka is not needed then."
)
histories_argument: Final = click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=EVENTS_PATH
)
"""Files of events, folders or patterns of them, or folders that are archives."""
