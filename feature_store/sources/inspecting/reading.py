"""The records of a file that nobody described, decoded, in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from feature_store.errors import EventSourceError
from feature_store.sources.records import LINE_SUFFIXES, is_lines, read_lines, read_rows

_MOST_BYTES: Final = 1 << 20


def records_of(path: Path) -> tuple[str, Iterator[Any]]:
    """What the file is, in words, and its records; lines that are no JSON are passed over.

    Raises:
        EventSourceError: there is no such file, or it is none that events are read from.
    """
    if not path.is_file():
        raise EventSourceError(f"there is no file {path}")
    if is_lines(path):
        return "JSON lines", _json_lines(path)
    if path.suffix.lower() == ".parquet":
        return "parquet", (row for rows in read_rows(path, None) for row in rows)
    raise EventSourceError(
        f"{path} is of no supported kind: events are read from {', '.join(LINE_SUFFIXES)} and .parquet"
    )


def _json_lines(path: Path) -> Iterator[Any]:
    for line in read_lines(path, _MOST_BYTES):
        try:
            value = msgspec.json.decode(line.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        yield from islice(value, None) if isinstance(value, list) else (value,)
