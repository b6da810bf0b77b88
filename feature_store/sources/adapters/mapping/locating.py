"""Where in the text of a TOML file a key is, for messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

Keys: TypeAlias = tuple[str | int, ...]

_KEY: Final = r"""(?:"[^"\n]*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_DOTTED: Final = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_TABLE: Final = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]")
_ENTRY: Final = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_PART: Final = re.compile(_KEY)


class _Found(NamedTuple):
    """A key that is written in the text: its path from the top, its offset."""

    keys: Keys
    offset: int


def locate(text: str, keys: Keys) -> tuple[int, int]:
    """The line and column, both from 1, of the key; of the table that it should be in where it is missing.

    Keys of tables that are written within one value are looked for in the text of that value.
    """
    written = list(_written(text))
    best = max(written, key=lambda found: _shared(found.keys, keys), default=_Found((), 0))
    at, known = best.offset, _shared(best.keys, keys)
    end = next((found.offset for found in written if found.offset > at), len(text))
    for key in keys[known:]:
        if not isinstance(key, int):
            quoted = re.escape(key)
            inner = re.compile(rf"""(?:"{quoted}"|'{quoted}'|(?<![\w-]){quoted})[ \t]*=""").search(
                text, at, end
            )
            at = at if inner is None else inner.start()
    line_start = text.rfind("\n", 0, at) + 1
    return text.count("\n", 0, at) + 1, at - line_start + 1


def _shared(found: Keys, wanted: Keys) -> int:
    """How many keys of a written path lead to the wanted one; 0 if it leads elsewhere."""
    return len(found) if found == wanted[: len(found)] else 0


def _written(text: str) -> Iterator[_Found]:
    table: Keys = ()
    arrays: Counter[Keys] = Counter()
    offset = 0
    for line in text.splitlines(keepends=True):
        if header := _TABLE.match(line):
            table = _parts(header[2])
            if header[1] == "[[":
                arrays[table] += 1
                table = (*table, arrays[table] - 1)
            yield _Found(table, offset + header.start(1))
        elif entry := _ENTRY.match(line):
            yield _Found((*table, *_parts(entry[1])), offset + entry.start(1))
        offset += len(line)


def _parts(dotted: str) -> Keys:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
