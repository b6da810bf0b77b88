"""Places of a mapping file, compiled: where a value comes from, and how it is read there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from feature_store.errors import AdapterError, MappingError, SkippedItemError
from feature_store.sources.adapters.common import Json
from feature_store.sources.adapters.mapping.language import Place, Source
from feature_store.sources.adapters.mapping.paths import Path, Scope, parse_path
from feature_store.sources.adapters.mapping.patterns import as_text

T = TypeVar("T")


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
    """One source of a value: at a path, or a constant."""

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

    def read(self, scope: Scope, reader: Callable[[Json], T | None]) -> T | None:
        """The first value that the reader makes something of.

        Raises:
            SkippedItemError: none of them is readable, and one is there.
        """
        refusal: SkippedItemError | None = None
        for spot in self:
            try:
                if (found := reader(spot.of(scope))) is not None:
                    return found
            except SkippedItemError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal
        return None


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
        return Spot(parse_path(source), None, None, frozenset())
    if (source.path is None) == (source.const is None):
        raise AdapterError("a table that says where a value is has either `path` or `const`")
    path = None if source.path is None else parse_path(source.path)
    unknown = frozenset(shown for one in source.unknown if (shown := as_text(one)) is not None)
    return Spot(path, source.const, source.separator, unknown)
