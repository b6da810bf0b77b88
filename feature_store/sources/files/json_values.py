"""JSON values one after another: lines, one array, or values over several lines, in constant memory.

A value inside an array at the top is a record of its own, so `[{...}, {...}]`, one value per line and a
pretty array give the same records. Values are found by their brackets and quotes alone, in compiled code, and
decoded afterwards: a broken value is one bad record, and one of a gigabyte is passed over, not held.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_store.errors import EventSourceError
from feature_store.fold.kernel import kernel
from feature_store.sources.files.lines import Raw

_READ_AT_ONCE: Final = 1 << 18
_BLANKS: Final = b" \t\r\n\x1e"

_DEPTH, _BASE, _INSIDE, _QUOTED, _ESCAPED, _SCALAR = range(6)
"""The scanner's state: brackets open; 1 inside an array at the top, else 0; whether a value has begun;
whether in a text, and behind a backslash there; whether the value has no brackets."""
_STATE_SIZE: Final = 6


def is_multi_line(first: bytes) -> bool:
    """Whether a file that begins so holds no lines: an array, or values over several lines."""
    text = first.lstrip(_BLANKS)
    if text.startswith(b"["):
        return True
    if not text.startswith(b"{"):
        return False
    lines = [line for line in (line.strip(_BLANKS) for line in text.split(b"\n")) if line]
    return len(lines) > 1 and lines[0].endswith((b"{", b",", b"[", b":")) and not lines[1].startswith(b"{")


def values_of(file: io.BufferedReader[Any], path: Path, limit: int) -> Iterator[Raw]:
    """The values, numbered from 1. Of a value over `limit` bytes, only the first `limit` are held.

    Raises:
        EventSourceError: the file cannot be read, or ends inside a value.
    """
    state = np.zeros(_STATE_SIZE, dtype=np.int64)
    held, length, number = bytearray(), 0, 0
    while chunk := file.read(_READ_AT_ONCE):
        edges = _edges(np.frombuffer(chunk, dtype=np.uint8), state)
        begun = 0
        for place in edges.tolist():
            if place < 0:  # a value begins
                begun = -place - 1
                continue
            length += place - begun
            held += chunk[begun:place][: max(limit - len(held), 0)]
            number += 1
            yield Raw(number, bytes(held), length)
            held, length = bytearray(), 0
        if state[_INSIDE]:
            length += len(chunk) - begun
            held += chunk[begun:][: max(limit - len(held), 0)]
    if state[_INSIDE] and state[_SCALAR] and not state[_BASE] and not state[_QUOTED]:
        yield Raw(number + 1, bytes(held), length)
    elif state[_INSIDE] or state[_BASE]:
        what = f"inside record {number + 1}" if state[_INSIDE] else "inside its array"
        raise EventSourceError(
            f"{path} ends {what}: it was cut off, or a bracket or a quote is missing in it"
        )


@kernel
def _edges(  # noqa: PLR0912  (a scanner: one branch per kind of byte)
    chunk: NDArray[np.uint8], state: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where values begin (as -place - 1) and end (one past the last byte) in a chunk, in order."""
    edges = np.empty(1024, dtype=np.int64)
    count = 0
    for i in range(len(chunk)):
        byte = chunk[i]
        if count + 2 > len(edges):
            grown = np.empty(2 * len(edges), dtype=np.int64)
            grown[:count] = edges[:count]
            edges = grown
        if state[_QUOTED]:
            if state[_ESCAPED]:
                state[_ESCAPED] = 0
            elif byte == 0x5C:  # backslash
                state[_ESCAPED] = 1
            elif byte == 0x22:
                state[_QUOTED] = 0
            continue
        top = state[_DEPTH] == state[_BASE]
        separates = byte <= 0x20 or byte == 0x2C
        closes = byte in (0x5D, 0x7D)
        if top and state[_INSIDE] and (separates or (closes and state[_BASE])):
            edges[count] = i  # a value without brackets ends before this byte
            count += 1
            state[_INSIDE] = 0
            state[_SCALAR] = 0
        if separates:
            continue
        if closes and state[_DEPTH] > 0:
            state[_DEPTH] -= 1
            if state[_DEPTH] < state[_BASE]:
                state[_BASE] = 0
            elif state[_DEPTH] == state[_BASE] and state[_INSIDE]:
                edges[count] = i + 1
                count += 1
                state[_INSIDE] = 0
            continue
        if byte == 0x5B and state[_DEPTH] == 0 and not state[_INSIDE]:
            state[_DEPTH] = 1
            state[_BASE] = 1
            continue
        if not state[_INSIDE]:
            edges[count] = -i - 1
            count += 1
            state[_INSIDE] = 1
            state[_SCALAR] = byte not in (0x5B, 0x7B)
        if byte == 0x22:
            state[_QUOTED] = 1
        elif byte in (0x5B, 0x7B):
            state[_DEPTH] += 1
    return edges[:count]
