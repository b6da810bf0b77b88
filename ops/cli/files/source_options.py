"""The options of every command that reads events from files: what they are, whose, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

import click

from feature_store.sources.choice import SourceChoice
from feature_store.sources.formats import MAPPING, formats


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --format, --mapping, --store, --timezone and --decimal as one parameter, `source`."""
    names = sorted([*formats(), MAPPING])

    @click.option(
        "--format",
        "kind",
        metavar="NAME",
        type=click.Choice(names),
        help=f"What a record is, where the file does not say it: {', '.join(names)} (docs/adapters.md).",
    )
    @click.option(
        "--mapping",
        type=click.Path(exists=True, dir_okay=False),
        help="Mapping file: what the records are, in a shop's own words (docs/mapping.md).",
    )
    @click.option("--store", help="Shop of a vendor's or mapped file.")
    @click.option("--timezone", metavar="ZONE", help="Zone of times that name none: Europe/Berlin, UTC.")
    @click.option("--decimal", type=click.Choice([".", ","]), help="Decimal sign of amounts in text.")
    @wraps(command)
    def with_source(
        *arguments: Any,
        kind: str | None,
        mapping: str | None,
        store: str | None,
        timezone: str | None,
        decimal: Literal[".", ","] | None,
        **options: Any,
    ) -> None:
        source = SourceChoice(kind=kind, mapping=mapping, store=store, timezone=timezone, decimal=decimal)
        command(*arguments, source=source, **options)

    return with_source
