"""Free texts: category, brand, search words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from feature_store.sources.values.ids import is_placeholder, is_unicode, is_unknown, placeholder_reason
from feature_store.sources.values.notes import Reason

_BREADCRUMB: Final = re.compile(r"\s+[>›»→]\s+|\s*&gt;\s*")
_NAMES: Final = ("name", "title", "label", "value")
_MOST_PARTS: Final = 32


class TextFound(NamedTuple):
    """A text, or why there is none. reason with a text: what was repaired; neither: nothing was sent."""

    text: str | None
    reason: Reason | None = None


NO_TEXT: Final = TextFound(None)


def read_text(value: Any, most: int) -> TextFound:
    """A text without blanks around it, cut at `most` characters.

    A number is written out, the parts of a list are joined by "/", and an object gives its name.
    """
    if isinstance(value, str):
        stripped = value.strip()
        if is_placeholder(stripped):
            return TextFound(None, placeholder_reason(stripped))
        if not stripped.isascii() and not is_unicode(stripped):
            return TextFound(None, Reason.NOT_UNICODE)
        return (
            TextFound(stripped) if len(stripped) <= most else TextFound(stripped[:most].strip(), Reason.CUT)
        )
    if is_unknown(value):
        return NO_TEXT
    if isinstance(value, list | tuple):
        return _joined(value, most)
    if isinstance(value, Mapping):
        return _named(value, most)
    return _written(value)


def read_category(value: Any, most: int, separator: str | None) -> TextFound:
    """A path, coarse to fine, by "/". In a text, `separator` or the signs of breadcrumbs part it."""
    found = read_text(value, most)
    if found.text is None or not isinstance(value, str):
        return found
    parts = found.text.split(separator) if separator else _BREADCRUMB.split(found.text)
    if len(parts) == 1:
        return found
    path = "/".join(filter(None, (part.strip() for part in parts)))
    return TextFound(path, found.reason if separator else Reason.BREADCRUMB) if path else NO_TEXT


def _joined(values: list[Any] | tuple[Any, ...], most: int) -> TextFound:
    parts = [
        found.text
        for value in values[:_MOST_PARTS]
        if not isinstance(value, list | tuple) and (found := read_text(value, most)).text is not None
    ]
    if not parts:
        return NO_TEXT if not values else TextFound(None, Reason.NOT_TEXT)
    return TextFound("/".join(parts)[:most].strip(), Reason.LIST)


def _named(value: Mapping[Any, Any], most: int) -> TextFound:
    for name in _NAMES:
        inner = value.get(name)
        if isinstance(inner, str) and (found := read_text(inner, most)).text is not None:
            return TextFound(found.text, Reason.OBJECT)
    return NO_TEXT if not value else TextFound(None, Reason.NOT_TEXT)


def _written(value: Any) -> TextFound:
    if isinstance(value, bool):
        return TextFound(None, Reason.NOT_TEXT)
    if isinstance(value, int) and value.bit_length() <= 512:
        return TextFound(str(value))
    if isinstance(value, float) and abs(value) < 2.0**53:
        return TextFound(str(int(value)) if value.is_integer() else repr(value), Reason.NUMBER)
    return TextFound(None, Reason.NOT_TEXT)
