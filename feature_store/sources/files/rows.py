"""Rows of a CSV or TSV, one at a time, in constant memory: a bad one is refused, and the next one goes on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from feature_store.errors import EventSourceError, InvalidEventError
from feature_store.sources.files.dialects import TextLayout
from feature_store.sources.files.lines import lines_of

MALFORMED_ROW: Final = "malformed_row"
"""Why a row of text is refused that cannot be cut into its columns."""
_MAX_LOOKS: Final = 64
_SPREADSHEET_TEXT: Final = '="'

Row = dict[str, str | None]


class TextRow(NamedTuple):
    """A row by column; an empty cell is None. `refused` says why there is none. number: of its first line."""

    number: int
    row: Row
    length: int
    refused: InvalidEventError | None = None


def rows_of(file: io.BufferedReader[Any], path: Path, layout: TextLayout, limit: int) -> Iterator[TextRow]:
    """The rows; those over `limit` bytes are refused, and not held.

    Raises:
        EventSourceError: the file cannot be read, or its encoding is none.
    """
    csv.field_size_limit(max(csv.field_size_limit(), limit))
    options = layout.reader_options()
    skip = layout.header
    for number, raw, length in _records(file, layout, limit):
        if skip:
            skip = False
            continue
        try:
            yield TextRow(number, _row(raw, length, layout, options, limit), length)
        except InvalidEventError as error:
            yield TextRow(number, {}, length, error)
        except LookupError:
            raise EventSourceError(f"{path}: there is no encoding {layout.encoding!r}") from None


def _records(
    file: io.BufferedReader[Any], layout: TextLayout, limit: int
) -> Iterator[tuple[int, bytes, int]]:
    """Physical lines, joined where a quoted text goes over several."""
    quote = layout.quote.encode()
    lines = lines_of(file, limit)
    for number, first, size in lines:
        if first.count(quote) % 2 == 0 or size > limit:
            yield number, first, size
            continue
        raw, length = first, size
        looks = 0
        while _is_open(raw, layout) and length <= limit and looks < _MAX_LOOKS:
            for line in lines:
                raw += line.raw
                length += line.length
                if line.raw.count(quote) % 2 or length > limit:
                    break
            else:
                break  # the file's end
            looks += 1
        yield number, raw[: limit + 1], length if looks < _MAX_LOOKS else limit + 1


def _is_open(raw: bytes, layout: TextLayout) -> bool:
    """Whether a row so far ends inside a quoted text. A lone quote within a word (5" pipe) opens none."""
    try:
        text = raw.decode(layout.encoding, "surrogateescape")
        for _ in csv.reader([text], strict=True, **layout.reader_options()):  # type: ignore[arg-type]
            pass
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def _row(raw: bytes, length: int, layout: TextLayout, options: dict[str, object], limit: int) -> Row:
    if length > limit:
        raise InvalidEventError(
            "too_large",
            f"the row has {length:,} bytes or a quote that nothing closes; a row has at most {limit:,}",
        )
    if b"\0" in raw:
        raise InvalidEventError(MALFORMED_ROW, "the row holds a NUL byte")
    text = raw.decode(layout.encoding, "surrogateescape")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidEventError(
                "invalid_utf8",
                f"the row is not {layout.encoding} (its character {error.start}); save the file in one "
                "encoding, or name it in a mapping file: [dialect] with encoding",
            ) from None
    try:
        cells = next(csv.reader([text], **options), [])  # type: ignore[arg-type]
    except csv.Error as error:
        raise InvalidEventError(MALFORMED_ROW, f"the row cannot be cut into columns: {error}") from None
    columns = layout.columns
    if len(cells) > len(columns) and not any(cells[len(columns) :]):
        cells = cells[: len(columns)]
    if len(cells) > len(columns) or (len(cells) < len(columns) and not raw.endswith(b"\n")):
        raise InvalidEventError(
            MALFORMED_ROW, f"the row has {len(cells)} cells, the header {len(columns)} columns"
        )
    row: Row = dict.fromkeys(columns)
    for name, cell in zip(columns, cells, strict=False):
        if cell:
            row[name] = cell[2:-1] if cell.startswith(_SPREADSHEET_TEXT) and cell.endswith('"') else cell
    return row
