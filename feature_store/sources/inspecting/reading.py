"""The records of a file that nobody described, decoded, in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from feature_store.errors import EventSourceError
from feature_store.sources.files.parquet import rows_of
from feature_store.sources.files.records import EventFile

_MOST_BYTES: Final = 1 << 20


def records_of(path: Path) -> tuple[str, Iterator[Any]]:
    """What the file is, in words, and its records; what is no record is passed over.

    Raises:
        EventSourceError: there is no such file, or it is none that events are read from.
    """
    if not path.is_file():
        raise EventSourceError(f"there is no file {path}")
    file = EventFile(path)
    layout = file.read_as()[0]
    if file.kind.layout == "json":
        return layout, _json_values(file)
    if file.kind.layout == "text":
        return layout, (record.row for record in file.text_rows(_MOST_BYTES) if record.refused is None)
    return layout, (row for batch in file.batches(None, None, ()) for row in rows_of(batch))


def _json_values(file: EventFile) -> Iterator[Any]:
    for _, value in file.raw_values(_MOST_BYTES):
        try:
            decoded = msgspec.json.decode(value.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        yield from islice(decoded, None) if isinstance(decoded, list) else (decoded,)
