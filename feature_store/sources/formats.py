"""The formats that events are read from: a registry that fills itself.

A module of `adapters/` registers its format where it defines it, and a mapping file in `adapters/mappings/`
is a format of the file's name. Files, the collector, command line, API document and docs/adapters.md read
this registry and no list of their own. docs/extending.md adds a format.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from feature_store.contract.events import Event
from feature_store.contract.identity import Identity
from feature_store.errors import AdapterError
from feature_store.sources import adapters
from feature_store.sources.adapters.common import Adapted
from feature_store.sources.adapters.mapping.language import Dialect

CONTRACT: Final = "contract"
"""The format of events as they are on the topic."""
MAPPING: Final = "mapping"
"""The format of records that a mapping file of the user's describes."""


class AdaptPayload(Protocol):
    """A vendor's payload -> events; never raises, whatever the payload is."""

    def __call__(self, payload: Any, *, store: str, hasher: Identity) -> Adapted:
        """Adapt one payload of a shop; `hasher` names its buyers."""


Adapt: TypeAlias = Callable[[Any, int], Adapted]
"""(decoded record of a file, its number) -> events."""


@dataclass(frozen=True)
class Origin:
    """The file that records come from. store: its shop, "" if the records name it. identity: names buyers."""

    path: Path
    store: str
    identity: Identity


@dataclass(frozen=True, kw_only=True)
class Payload:
    """How the collector takes a format. items: key of a payload's list of items; None: it is one item.

    stamp: (payload, time of receipt in ms) -> payload, for formats in which no time means "now".
    """

    adapt: AdaptPayload
    items: str | None = None
    stamp: Callable[[Any, int], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Format:
    """What records are, and how they become events."""

    name: str
    """As --format and the collector's `source` spell it."""
    about: str
    """One line for docs."""
    open: Callable[[Origin], Adapt]
    """The adapter of a file's records."""
    lines: bool = True
    """Whether JSON may be of it, or only columns."""
    columns: frozenset[str] = frozenset()
    """Without --format, a file with all of these columns has this format; none: never."""
    read: tuple[str, ...] | None = None
    """The only columns that are read of a parquet file; None: all."""
    numbers: frozenset[str] = frozenset()
    """Columns of a text file whose cells are numbers."""
    json_text: bool = False
    """Whether objects and lists may be kept as text in columns."""
    names_store: bool = False
    """Whether each record names its store."""
    store: str | None = None
    """The store of the records if --store is not given."""
    timezone: str | None = None
    """The zone of times that name none if --timezone is not given."""
    decimal: str | None = None
    """The decimal sign of amounts in text if --decimal is not given."""
    dialect: Dialect | None = None
    """How text files of columns are written; None: looking at one tells."""
    payload: Payload | None = None
    """How the collector takes it; None: not at all."""
    decode_line: Callable[[bytes], Event] | None = None
    """A record as on the topic to its event in one step, faster than by `open`; raises InvalidEventError."""
    convert_rows: Callable[[list[dict[str, Any]]], list[Event] | None] | None = None
    """Rows at once, faster than by `open`; None where one of them is invalid."""


_registered: Final[dict[str, Format]] = {}


def register(found: Format) -> Format:
    """Add a format.

    Raises:
        AdapterError: there is another one of its name.
    """
    if found.name in _registered:
        raise AdapterError(f"there are two formats named {found.name}: name one of them otherwise")
    _registered[found.name] = found
    return found


def vendor(
    name: str,
    about: str,
    adapt: AdaptPayload,
    *,
    columns: frozenset[str] = frozenset(),
    items: str | None = None,
    stamp: Callable[[Any, int], Any] | None = None,
    store: str | None = None,
) -> Format:
    """A format of payloads of one shop, alike in files and over HTTP; see Format and Payload."""
    return Format(
        name=name,
        about=about,
        open=lambda origin: lambda record, _: adapt(record, store=origin.store, hasher=origin.identity),
        columns=columns,
        json_text=True,
        store=store,
        payload=Payload(adapt=adapt, items=items, stamp=stamp),
    )


@cache
def formats() -> dict[str, Format]:
    """Every format by name, sorted.

    Raises:
        AdapterError: two formats have one name.
    """
    for module in pkgutil.iter_modules(adapters.__path__):
        importlib.import_module(f"{adapters.__name__}.{module.name}")
    return dict(sorted(_registered.items()))


def recognise(columns: set[str]) -> Format | None:
    """The format of a parquet file with these columns: of those that fit, the one that asks for most."""
    fitting = [found for found in formats().values() if found.columns and columns >= found.columns]
    return max(fitting, key=lambda found: len(found.columns), default=None)
