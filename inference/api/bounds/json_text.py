"""Looks at a JSON text before anything of it is built: how large it would be, and where its items lie.

A few kilobytes of gzip unpack to millions of empty lists, which cost a process seconds and a gigabyte to
build. Here their text is read once, byte by byte, compiled and without the GIL; a text that is too large is
refused, and the items of one that is not are decoded one at a time. What is not JSON is found by the
decoder: here brackets and strings are followed, and nothing else is checked.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.kernel import kernel
from inference.api.problems import ProblemError

_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")
_COMMA: Final = ord(",")
_COLON: Final = ord(":")
_OPEN_LIST: Final = ord("[")
_CLOSE_LIST: Final = ord("]")
_OPEN_OBJECT: Final = ord("{")
_CLOSE_OBJECT: Final = ord("}")
_SPACE: Final = ord(" ")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_TOO_MANY: Final = -1
_UNCLOSED: Final = -2


class JsonBounds(NamedTuple):
    """How much JSON a body may hold. values: names and values of a whole body; item_values: of one item."""

    values: int
    item_values: int
    depth: int


class Span(NamedTuple):
    """A value's place in a text: [start, end)."""

    start: int
    end: int


@kernel
def _after_string(text: NDArray[np.uint8], at: int, end: int) -> int:
    """text[at] opens a string; the place after the quote that closes it, or `end`."""
    at += 1
    while at < end:
        if text[at] == _QUOTE:
            return at + 1
        at += 2 if text[at] == _BACKSLASH else 1
    return end


@kernel
def _after_space(text: NDArray[np.uint8], at: int, end: int) -> int:
    while at < end and text[at] <= _SPACE:
        at += 1
    return at


@kernel
def _nesting(byte: int) -> int:
    """By how much a byte outside of texts changes how deep one is."""
    if byte in (_OPEN_LIST, _OPEN_OBJECT):
        return 1
    return -1 if byte in (_CLOSE_LIST, _CLOSE_OBJECT) else 0


@kernel
def _measure(text: NDArray[np.uint8], at: int, end: int, values: int, depth: int) -> tuple[int, int]:
    """(names and values, nesting) of text[at:end]; stops as soon as one is above its bound."""
    found, level, deepest = 1, 0, 0
    while at < end:
        byte = text[at]
        if byte == _QUOTE:
            at = _after_string(text, at, end)
            continue
        if byte in (_COMMA, _COLON):
            found += 1
        elif byte in (_OPEN_LIST, _OPEN_OBJECT):
            found += 1
            level += 1
            deepest = max(deepest, level)
        elif byte in (_CLOSE_LIST, _CLOSE_OBJECT):
            level -= 1
        if found > values or deepest > depth:
            break
        at += 1
    return found, deepest


@kernel
def _split(text: NDArray[np.uint8], at: int, end: int, places: NDArray[np.int64]) -> int:
    """Elements of the list that text[at:end] is, as (start, end) rows of `places`; how many, or why not."""
    count, level, start = 0, 0, at + 1
    while at < end:
        byte = text[at]
        if byte == _QUOTE:
            at = _after_string(text, at, end)
            continue
        level += _nesting(byte)
        ends = level == 0
        if ends or (byte == _COMMA and level == 1):
            if not (ends and count == 0 and _after_space(text, start, at) == at):
                if count == len(places):
                    return _TOO_MANY
                places[count, 0], places[count, 1] = start, at
                count += 1
            start = at + 1
        at += 1
        if ends:
            whole = byte == _CLOSE_LIST and _after_space(text, at, end) == end
            return count if whole else _UNCLOSED
    return _UNCLOSED


@kernel
def _values(text: NDArray[np.uint8], at: int, end: int, places: NDArray[np.int64]) -> int:
    """Objects that follow each other, as rows of `places`; how many (0: not only objects), or why not."""
    count = 0
    at = _after_space(text, at, end)
    while at < end:
        if text[at] != _OPEN_OBJECT:
            return 0
        if count == len(places):
            return _TOO_MANY
        start, level = at, 0
        while at < end:
            byte = text[at]
            if byte == _QUOTE:
                at = _after_string(text, at, end)
                continue
            level += _nesting(byte)
            at += 1
            if level == 0:
                break
        if level != 0:
            return 0
        places[count, 0], places[count, 1] = start, at
        count += 1
        at = _after_space(text, at, end)
    return count


@kernel
def _member(text: NDArray[np.uint8], at: int, end: int, name: NDArray[np.uint8]) -> tuple[int, int]:
    """Where the value of the object's last member of that name lies; (0, 0): there is none."""
    level, key, key_end, value, named = 0, 0, 0, 0, False
    found = (0, 0)
    while at < end:
        byte = text[at]
        if byte == _QUOTE:
            key, at = at + 1, _after_string(text, at, end)
            key_end = at - 1
            continue
        if byte == _COLON and level == 1:
            named = key_end - key == len(name)
            for i in range(len(name)):
                named = named and text[key + i] == name[i]
            value = at + 1
        elif byte in (_OPEN_LIST, _OPEN_OBJECT):
            level += 1
        elif byte in (_CLOSE_LIST, _CLOSE_OBJECT):
            level -= 1
        if named and (level == 0 or (byte == _COMMA and level == 1)):
            found, named = (value, at), False
        at += 1
    return found


class JsonText:
    """A body, or a part of one, that was looked at and not yet decoded."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw = raw.removeprefix(_BYTE_ORDER_MARK)
        self._bytes = np.frombuffer(raw, np.uint8)

    @property
    def whole(self) -> Span:
        """All of it."""
        return Span(0, len(self.raw))

    def check(self, span: Span, values: int, depth: int) -> None:
        """Refuse what would be too large to build.

        Raises:
            ProblemError: 413.
        """
        found, deepest = _measure(self._bytes, span.start, span.end, values, depth)
        if found > values:
            raise ProblemError(
                413, "too-much-json", f"more than {values} names and values of JSON; send it in parts"
            )
        if deepest > depth:
            raise ProblemError(413, "too-much-json", f"JSON is nested deeper than {depth} levels")

    def opens(self, span: Span) -> str:
        """The first character that is no space; "" where there is none."""
        at = _after_space(self._bytes, span.start, span.end)
        return chr(self._bytes[at]) if at < span.end else ""

    def elements(self, span: Span, most: int) -> list[Span]:
        """Where the elements of a list lie, in order.

        Raises:
            ProblemError: 400 the list is not closed, 413 more than `most` elements.
        """
        places = np.empty((most, 2), np.int64)
        start = _after_space(self._bytes, span.start, span.end)
        count = _split(self._bytes, start, span.end, places)
        if count == _TOO_MANY:
            raise too_many_items(most)
        if count == _UNCLOSED:
            raise ProblemError(
                400, "not-json", "the body is not JSON: a list is not closed, or text follows it"
            )
        return [Span(first, last) for first, last in places[:count].tolist()]

    def values(self, span: Span, most: int) -> list[Span]:
        """Where objects lie that follow each other, as in lines of JSON; none if there is anything else.

        Raises:
            ProblemError: 413 more than `most` objects.
        """
        places = np.empty((most, 2), np.int64)
        count = _values(self._bytes, span.start, span.end, places)
        if count == _TOO_MANY:
            raise too_many_items(most)
        return [Span(first, last) for first, last in places[:count].tolist()]

    def member(self, span: Span, name: str) -> Span | None:
        """Where the value of an object's member lies; None where there is none of that name."""
        start, end = _member(self._bytes, span.start, span.end, np.frombuffer(name.encode(), np.uint8))
        return Span(start, end) if end else None

    def part(self, span: Span) -> memoryview:
        """The text of a value, not copied."""
        return memoryview(self.raw)[span.start : span.end]


def too_many_items(most: int) -> ProblemError:
    """The body holds more items than a request may."""
    return ProblemError(413, "too-many-items", f"a request holds at most {most} items; send more requests")


def compile_now() -> None:
    """Compile, or load from the cache, before requests come: compiling stops a process for a second."""
    text = JsonText(b'{"a":[1]}')
    text.check(text.whole, 10, 10)
    listed = text.member(text.whole, "a")
    assert listed is not None
    text.elements(listed, 1)
    text.values(text.whole, 1)
