"""The options of every command that reads a file of events: what it is, and whose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from feature_store.contract.identity import Identity
from feature_store.sources.formats import MAPPING, formats
from feature_store.sources.reader import EventSource, open_events


@dataclass(frozen=True)
class SourceOptions:
    """What the command line says of a file of events; None: the file itself says it."""

    kind: str | None
    mapping: Path | None
    store: str | None

    @property
    def given(self) -> bool:
        """Whether any of them was given."""
        return any(option is not None for option in (self.kind, self.mapping, self.store))

    def open(self, path: Path, identity: Identity) -> EventSource:
        """Open the file.

        Raises:
            EventSourceError: it cannot be read, or does not say what it is.
            AdapterError: the mapping file cannot be used.
        """
        return open_events(path, identity=identity, kind=self.kind, mapping=self.mapping, store=self.store)


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --format, --mapping and --store as one parameter, `source`: a SourceOptions."""

    @click.option(
        "--format",
        "kind",
        type=click.Choice(sorted([*formats(), MAPPING])),
        help="What a record is, where the file does not say it.",
    )
    @click.option(
        "--mapping",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Mapping file of a shop's own pixel (docs/adapters.md).",
    )
    @click.option("--store", help="Shop of a vendor's or mapped file.")
    @wraps(command)
    def with_source(
        *arguments: Any, kind: str | None, mapping: Path | None, store: str | None, **options: Any
    ) -> None:
        source = SourceOptions(kind, mapping, store)
        command(*arguments, source=source, **options)

    return with_source
