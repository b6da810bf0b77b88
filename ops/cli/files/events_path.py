"""The path of a source of events on the command line."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any, Final

import click

from feature_store.sources.files.folders import is_pattern


class EventsPath(click.Path):
    """A file, a folder, or a pattern of names that fits at least one file."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, exists=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        if is_pattern(Path(value)) and next(glob.iglob(str(value), recursive=True), None) is not None:  # noqa: PTH207  (Path.glob takes no absolute pattern)
            return Path(value)
        return super().convert(value, param, ctx)


EVENTS_PATH: Final = EventsPath()
