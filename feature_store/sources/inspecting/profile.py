"""What is in some records: every path with its values, and lists of objects, each with a profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from feature_store.sources.inspecting.words import words_of

_DEEPEST: Final = 7
_MOST_PATHS: Final = 3_000
_MOST_KEPT: Final = 2_000
_PLACEHOLDERS: Final = frozenset({"", "null", "undefined", "none", "nan", "(not set)", "n/a", "-"})


class Field:
    """One path of the records. path: as a mapping writes it; words: of its keys, outermost first."""

    def __init__(self, path: str, keys: Sequence[str]) -> None:
        self.path = path
        self.keys = tuple(keys)
        self.words = tuple(words_of(key) for key in keys)
        self.values: list[Any] = []
        self.filled = 0
        """In how many records it has a value that is no placeholder."""

    def add(self, value: Any) -> None:
        """Take in a record's value."""
        if value is None or (isinstance(value, str) and value.strip().lower() in _PLACEHOLDERS):
            return
        self.filled += 1
        if len(self.values) < _MOST_KEPT:
            self.values.append(value)

    @property
    def name(self) -> str:
        """The words of the last key that is none of a list's places."""
        return next((words for words, key in self._from_last() if not key.isdecimal()), "")

    @property
    def long_name(self) -> str:
        """The words of all keys but places in lists."""
        return " ".join(
            words for words, key in zip(self.words, self.keys, strict=True) if not key.isdecimal()
        )

    def _from_last(self) -> Iterator[tuple[str, str]]:
        return zip(reversed(self.words), reversed(self.keys), strict=True)

    @property
    def depth(self) -> int:
        """How many keys lead to it."""
        return len(self.keys)

    @property
    def texts(self) -> list[str]:
        """Its values that are text."""
        return [value for value in self.values if isinstance(value, str)]

    def counts(self) -> Counter[str]:
        """Its values as text, with counts."""
        return Counter(str(value) for value in self.values if isinstance(value, str | int | float))

    def share(self, fits: Any) -> float:
        """Which part of its values fits."""
        return sum(map(bool, map(fits, self.values))) / len(self.values) if self.values else 0.0


class Profile:
    """Of records: `fields` by path, `lists` of objects by path, each a profile of its items."""

    def __init__(self, records: Sequence[Any], depth: int = 0) -> None:
        self.records = records
        self.fields: dict[str, Field] = {}
        items: dict[str, list[Any]] = {}
        for record in records:
            if isinstance(record, dict):
                self._walk(record, [], items)
        self.lists = {path: Profile(found, depth + 1) for path, found in items.items()} if depth < 2 else {}

    def _walk(self, value: Any, keys: list[str], items: dict[str, list[Any]]) -> None:
        value = _decoded(value)
        if isinstance(value, dict) and len(keys) < _DEEPEST:
            for key, one in value.items():
                if isinstance(key, str) and key:
                    self._walk(one, [*keys, key], items)
        elif isinstance(value, list):
            objects = [one for one in value if isinstance(one, dict)]
            if objects:
                items.setdefault(path_of(keys), []).extend(objects)
                self._walk(objects[0], [*keys, "0"], items)
            elif value:
                self._note(keys, value)
        elif keys:
            self._note(keys, value)

    def _note(self, keys: list[str], value: Any) -> None:
        path = path_of(keys)
        field = self.fields.get(path)
        if field is None:
            if len(self.fields) >= _MOST_PATHS:
                return
            field = self.fields[path] = Field(path, keys)
        field.add(value)


def path_of(keys: Sequence[str]) -> str:
    """Keys as a mapping's path; one with dots in it is quoted."""
    return ".".join(f'"{key}"' if "." in key or '"' in key or key.startswith("^") else key for key in keys)


def _decoded(value: Any) -> Any:
    """JSON kept as text, decoded; anything else as it is."""
    if isinstance(value, str) and value[:1] in "{[" and len(value) > 1:
        try:
            return msgspec.json.decode(value)
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
            return value
    return value


def is_moment(value: Any) -> bool:
    """Whether a value is a moment of Python's own, as parquet has them."""
    return isinstance(value, datetime)
