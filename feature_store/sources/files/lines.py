"""Lines of a file, one at a time, however long one is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

_READ_AT_ONCE: Final = 1 << 16


class Raw(NamedTuple):
    """A record's number (from 1), its first bytes (as many as the limit), its whole length with line end."""

    number: int
    raw: bytes
    length: int


def lines_of(file: io.BufferedReader[Any], limit: int) -> Iterator[Raw]:
    """The lines that are not blank. Of a line over `limit` bytes, only the first `limit` are held.

    Raises:
        EventSourceError: the file cannot be read.
    """
    number = 0
    while tail := file.readline(_READ_AT_ONCE):
        number += 1
        raw = tail
        length = len(raw)
        while not tail.endswith(b"\n") and (tail := file.readline(_READ_AT_ONCE)):
            length += len(tail)
            raw += tail[: max(limit - len(raw), 0)]
        if length > limit or raw.strip():
            yield Raw(number, raw[:limit], length)
