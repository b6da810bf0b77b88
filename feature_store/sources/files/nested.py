"""Values inside columns: JSON that was kept as text, and wrappers that writers of tables put around lists."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

_ELEMENT_NAMES: Final = frozenset({"element", "item", "array_element", "array"})
_LIST_NAMES: Final = frozenset({"list", "bag", "array"})
_MAX_DEPTH: Final = 64
_MAY_HOLD: Final = re.compile(rb'"\s*[\[{]|"v"\s*:|"(?:list|bag|array)"\s*:')


def may_be_nested(raw: bytes) -> bool:
    """Whether a record of JSON may hold what `plain` changes; far cheaper than looking at its values."""
    return _MAY_HOLD.search(raw) is not None


def plain(record: Any, *, json_text: bool) -> Any:
    """A record with wrappers taken off, and with `json_text` its columns of JSON text decoded.

    Of Arrow and Hive, {"list": [{"element": x}]} becomes [x]; of BigQuery's own rows, {"v": x} becomes x. A
    text is decoded if it begins and ends as an object or a list does, and is JSON.
    """
    if not isinstance(record, dict):
        return record
    if json_text:
        record = {name: _decoded(value) if type(value) is str else value for name, value in record.items()}
    return {name: _unwrapped(value, _MAX_DEPTH) for name, value in record.items()}


def _unwrapped(value: Any, depth: int) -> Any:
    if depth == 0:
        return value
    if type(value) is list:
        return [_unwrapped(item, depth - 1) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((name, inner),) = value.items()
        if name == "v":
            return _unwrapped(inner, depth - 1)
        if name in _LIST_NAMES and _is_wrapped(inner):
            return [_unwrapped(next(iter(item.values())), depth - 1) for item in inner]
    return {name: _unwrapped(inner, depth - 1) for name, inner in value.items()}


def _is_wrapped(inner: Any) -> bool:
    return isinstance(inner, list) and all(
        isinstance(item, dict) and len(item) == 1 and next(iter(item)) in _ELEMENT_NAMES for item in inner
    )


def _decoded(text: str) -> Any:
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return text
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return text
    return found if isinstance(found, dict | list) else text
