"""The formats that events are read from: a registry that fills itself.

A module of `adapters/` registers its format where it defines it, and a mapping file in `adapters/mappings/`
is a format of the file's name. Files, the collector, command line, API document and docs/adapters.md read
this registry and no list of their own. docs/extending.md adds a format.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from feature_store.contract.events import Event
from feature_store.contract.identity import Identity
from feature_store.errors import AdapterError
from feature_store.sources import adapters
from feature_store.sources.adapters.common import Adapted, get
from feature_store.sources.adapters.mapping.language import Dialect
from feature_store.sources.skips import SkipReason
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.units import TimeUnit

CONTRACT: Final = "contract"
"""The format of events as they are on the topic."""
MAPPING: Final = "mapping"
"""The format of records that a mapping file of the user's describes."""


class AdaptPayload(Protocol):
    """A vendor's payload -> events; never raises, whatever the payload is."""

    def __call__(
        self, payload: Any, *, store: str, hasher: Identity, context: Context = NO_CONTEXT
    ) -> Adapted:
        """Adapt one payload of a shop; `hasher` names its buyers."""


Adapt: TypeAlias = Callable[[Any, int], Adapted]
"""(decoded record of a file, its number) -> events."""

AdaptColumns: TypeAlias = Callable[[dict[str, list[Any]], int], list[Event] | None]
"""(values of a file's rows by column, the first row's number) -> events; None: a row needs a closer look."""


@dataclass(frozen=True)
class Origin:
    """The file that records come from. store: its shop, "" if the records name it. identity: names buyers.

    context: how its values are to be read.
    """

    path: Path
    store: str
    identity: Identity
    context: Context = NO_CONTEXT


@dataclass(frozen=True, kw_only=True)
class Payload:
    """How the collector takes a format. items: key of a payload's list of items; None: it is one item."""

    adapt: AdaptPayload
    items: str | None = None


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
    time_unit: TimeUnit = "iso8601"
    """Of the records' times, where they are counts."""
    timezone: str | None = None
    """The zone of times that name none, if --timezone is not given and the format knows it."""
    dialect: Dialect | None = None
    """How text files of columns are written; None: looking at one tells."""
    signs: tuple[frozenset[str], ...] = ()
    """Members of a record (`a.b`: b in a): one with all of a set is of this format, in all likelihood."""
    names: tuple[str, ...] = ()
    """The vendor's names of events, for a hint beside a name that is not known."""
    payload: Payload | None = None
    """How the collector takes it; None: not at all."""
    decode_line: Callable[[bytes], Event | None] | None = None
    """A record as on the topic to its event at once, faster than by `open`; None where it does not fit."""
    open_columns: Callable[[Origin], AdaptColumns] | None = None
    """Columns at once, which have all of `columns`, to the same events as by `open`, and faster."""


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
    signs: tuple[frozenset[str], ...] = (),
    names: Iterable[str] = (),
    items: str | None = None,
    store: str | None = None,
    time_unit: TimeUnit = "iso8601",
) -> Format:
    """A format of payloads of one shop, alike in files and over HTTP; see Format and Payload.

    A payload without the signs of the format that gives no event and has those of another is refused, and
    the other format is named.
    """
    fitting = _FittingPayload(name, adapt, signs)
    return Format(
        name=name,
        about=about,
        open=lambda origin: (
            lambda record, _: fitting(
                record, store=origin.store, hasher=origin.identity, context=origin.context
            )
        ),
        columns=columns,
        json_text=True,
        signs=signs,
        names=tuple(names),
        store=store,
        time_unit=time_unit,
        payload=Payload(adapt=fitting, items=items),
    )


@dataclass(frozen=True)
class _FittingPayload:
    """An adapter that says so when a payload is of another format."""

    name: str
    adapt: AdaptPayload
    signs: tuple[frozenset[str], ...]

    def __call__(
        self, payload: Any, *, store: str, hasher: Identity, context: Context = NO_CONTEXT
    ) -> Adapted:
        adapted = self.adapt(payload, store=store, hasher=hasher, context=context)
        if adapted.events or not self.signs or _shown(payload, self.signs):
            return adapted
        other = looks_like(payload)
        if other is None:
            return adapted
        detail = (
            f"this is not {self.name}; it looks like {other.name} ({other.about}): give --format "
            f"{other.name} (source={other.name} over HTTP), or describe it with --mapping"
        )
        return Adapted([], {SkipReason.INVALID: 1}, [f"{SkipReason.INVALID}: {detail}"], [0], [])


def looks_like(record: Any) -> Format | None:
    """The format whose signs a record has, the most of them if there are several; None: no format's."""
    fitting = {name: _shown(record, found.signs) for name, found in formats().items()}
    name = max(fitting, key=lambda one: fitting[one], default=None)
    return formats()[name] if name is not None and fitting[name] else None


def _shown(record: Any, signs: Iterable[frozenset[str]]) -> int:
    """How many members of the largest set that a record has whole; 0: of none."""
    if not isinstance(record, dict):
        return 0
    return max((len(sign) for sign in signs if all(_has(record, member) for member in sign)), default=0)


def _has(record: dict[Any, Any], member: str) -> bool:
    return record.get(member) is not None or get(record, *member.split(".")) is not None


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
