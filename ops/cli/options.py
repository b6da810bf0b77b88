"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

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
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path, exists=True)
)
"""Files of events, or folders that are archives."""
