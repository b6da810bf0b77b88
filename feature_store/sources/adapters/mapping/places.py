"""Places of a mapping file, compiled: where a value comes from, and how it is read there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from feature_store.errors import AdapterError, MappingError
from feature_store.sources.adapters.common import Json
from feature_store.sources.adapters.mapping.language import Place, Source
from feature_store.sources.adapters.mapping.paths import Path, Scope, parse_path
from feature_store.sources.adapters.mapping.patterns import as_text


@contextmanager
def within(*keys: str | int) -> Iterator[None]:
    """Say of a mistake below here at which keys of the file it is."""
    try:
        yield
    except MappingError as error:
        raise MappingError(error.detail, (*keys, *error.keys)) from None
    except AdapterError as error:
        raise MappingError(str(error), keys) from None


class Spot(NamedTuple):
    """One source of a value: at a path, or a constant. name: the path as it is written, for messages."""

    name: str
    path: Path | None
    const: Json
    separator: str | None
    unknown: frozenset[str]

    def of(self, scope: Scope) -> Json:
        """The value as it is there; None if there is none."""
        if self.path is None:
            return self.const
        value = scope.at(self.path)
        if self.unknown and as_text(value) in self.unknown:
            return None
        if self.separator is not None and isinstance(value, str):
            levels = (level.strip() for level in value.split(self.separator))
            return "/".join(level for level in levels if level)
        return value


class Spots(tuple[Spot, ...]):
    """The sources of a value: the first that gives one counts."""

    __slots__ = ()

    def all(self, scope: Scope) -> tuple[Json, ...]:
        """What is at each of them, for a reader that takes the first it can read."""
        return tuple([spot.of(scope) for spot in self])

    def first(self, scope: Scope) -> Json:
        """The first value that is there at all."""
        for spot in self:
            value = spot.of(scope)
            if value is not None and value != "":
                return value
        return None

    def named(self, scope: Scope) -> dict[str, Json]:
        """What is at each of them by its name."""
        return {spot.name: spot.of(scope) for spot in self}

    @property
    def name(self) -> str:
        """What to call the value in a message."""
        return " or ".join(spot.name for spot in self)


def compile_place(place: Place) -> Spots:
    """A place as written -> its sources.

    Raises:
        MappingError: a path or a table is wrong.
    """
    if not isinstance(place, list):
        return Spots([_compile_source(place)])
    if not place:
        raise AdapterError("the list of paths is empty")
    spots = []
    for i, source in enumerate(place):
        with within(i):
            spots.append(_compile_source(source))
    return Spots(spots)


def _compile_source(source: str | Source) -> Spot:
    if isinstance(source, str):
        return Spot(source, parse_path(source), None, None, frozenset())
    if (source.path is None) == (source.const is None):
        raise AdapterError("a table that says where a value is has either `path` or `const`")
    path = None if source.path is None else parse_path(source.path)
    unknown = frozenset(shown for one in source.unknown if (shown := as_text(one)) is not None)
    return Spot(source.path or "const", path, source.const, source.separator, unknown)
