"""Reading a mapping file; an error names its line and column."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Final, get_args

import msgspec

from feature_store.contract.events import EVENT_TYPES
from feature_store.errors import AdapterError, MappingError
from feature_store.sources.adapters.mapping import language
from feature_store.sources.adapters.mapping.locating import locate
from feature_store.sources.adapters.mapping.pixel import PixelMapping
from feature_store.sources.values.units import TimeUnit

_MAX_BYTES: Final = 1 << 20
_MAX_MESSAGE: Final = 500
_STEP: Final = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+)\]")
_UNKNOWN_KEY: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_UNKNOWN_WORD: Final = re.compile(r"Invalid enum value (?:'(.*)'|(-?\d+))", re.DOTALL)
_KEY_OF: Final = re.compile(r" - at `key` in `(.*)`$")
_VALUE_AT: Final = re.compile(r" - at `(.*)`$")


def load_mapping(path: Path) -> PixelMapping:
    """Read a mapping file.

    Raises:
        AdapterError: it cannot be read, or what is wrong in it and where.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise AdapterError(f"cannot read the mapping {path}: {error.strerror}") from None
    try:
        return parse_mapping(raw)
    except AdapterError as error:
        raise AdapterError(f"the mapping {path} is wrong: {error}") from None


def parse_mapping(raw: bytes) -> PixelMapping:
    """A mapping file's content -> the adapter.

    Raises:
        AdapterError: what is wrong in it, with line and column.
    """
    if len(raw) > _MAX_BYTES:
        raise AdapterError(f"it has more than {_MAX_BYTES} bytes; is this a mapping file?")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AdapterError(f"byte {error.start} is not UTF-8; save it as UTF-8") from None
    try:
        file = msgspec.toml.decode(text, type=language.MappingFile)
    except msgspec.ValidationError as error:
        mistake = _explained(str(error))
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise AdapterError(_one_line(f"it is no TOML: {error}")) from None
    else:
        try:
            return PixelMapping(file)
        except MappingError as error:
            mistake = error
    line, column = locate(text, mistake.keys)
    raise AdapterError(f"line {line}, column {column}: {_one_line(str(mistake))}") from None


def _explained(message: str) -> MappingError:
    """The decoder's message in the words of the file: `... - at `$.events[0].type``."""
    place = _KEY_OF.search(message) or _VALUE_AT.search(message)
    what = message if place is None else message[: place.start()]
    keys: tuple[str | int, ...] = ()
    if place is not None:
        keys = tuple(int(index) if index else key for key, index in _STEP.findall(place[1]))
    if found := _UNKNOWN_KEY.fullmatch(what):
        return MappingError(f"there is no key `{found[1]}`{_nearest(found[1], _KEYS)}", (*keys, found[1]))
    if found := _UNKNOWN_WORD.fullmatch(what):
        word = found[1] or found[2]
        if _KEY_OF.search(message):
            keys = (*keys, word)
        return MappingError(f"{word!r} is not one of the words for it{_nearest(word, _WORDS)}", keys)
    return MappingError(what.replace("Object missing required field", "it needs the key"), keys)


def _one_line(message: str) -> str:
    """A message that may quote the file, whatever is in it."""
    shown = (
        message
        if len(message) <= _MAX_MESSAGE
        else f"{message[: _MAX_MESSAGE // 2]} ... {message[-_MAX_MESSAGE // 2 :]}"
    )
    return "".join(sign if sign.isprintable() else "?" for sign in shown)


def _nearest(word: str, known: list[str]) -> str:
    found = difflib.get_close_matches(word[:64], known, 1)
    return f"; do you mean `{found[0]}`?" if found else ""


_KEYS: Final = sorted(
    {
        name
        for table in vars(language).values()
        if isinstance(table, type) and issubclass(table, msgspec.Struct)
        for name in table.__struct_fields__
    }
)
_WORDS: Final = [*EVENT_TYPES, *get_args(language.FieldName), *get_args(TimeUnit), language.OTHER]
