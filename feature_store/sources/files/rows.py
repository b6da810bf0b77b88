"""Rows of a CSV or TSV, one at a time, in constant memory: a bad one is refused, and the next one goes on."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from feature_store.errors import EventSourceError, InvalidEventError
from feature_store.sources.files.dialects import TextLayout
from feature_store.sources.files.lines import Raw, lines_of

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
    skip = layout.header
    for record in _records(file, layout, limit):
        if skip:
            skip = False
            continue
        try:
            yield TextRow(record.number, _row(record, layout, limit), record.length)
        except InvalidEventError as error:
            yield TextRow(record.number, {}, record.length, error)
        except LookupError:
            raise EventSourceError(f"{path}: there is no encoding {layout.encoding!r}") from None


class _Record(NamedTuple):
    """The lines of one row. unclosed: it begins a quoted text that does not end as one."""

    number: int
    raw: bytes
    length: int
    unclosed: bool = False


class _Lines:
    """Lines of which some may be given back, to be read again."""

    def __init__(self, lines: Iterator[Raw]) -> None:
        self._lines = lines
        self._again: deque[Raw] = deque()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> Raw:
        return self._again.popleft() if self._again else next(self._lines)

    def give_back(self, lines: list[Raw]) -> None:
        """The lines that come next."""
        self._again.extendleft(reversed(lines))


def _records(file: io.BufferedReader[Any], layout: TextLayout, limit: int) -> Iterator[_Record]:
    """Physical lines, joined where a quoted text goes over several.

    A row whose quote nothing closes is its first line alone; what comes after it are rows of their own.
    """
    quote = layout.quote.encode()
    lines = _Lines(lines_of(file, limit))
    for line in lines:
        if line.raw.count(quote) % 2 == 0 or line.length > limit or _quotes(line.raw, layout) != "open":
            yield _Record(*line)
            continue
        others, closed = _until_closed(line, lines, layout, limit)
        if closed:
            joined = [line, *others]
            yield _Record(line.number, b"".join(one.raw for one in joined), sum(one.length for one in joined))
        else:
            lines.give_back(others)
            yield _Record(*line, unclosed=True)


def _until_closed(first: Raw, lines: Iterator[Raw], layout: TextLayout, limit: int) -> tuple[list[Raw], bool]:
    """The lines after one with an open quote, up to where it is closed; and whether it is."""
    quote = layout.quote.encode()
    others: list[Raw] = []
    length, looks = first.length, 0
    for line in lines:
        others.append(line)
        length += line.length
        if length > limit:
            break
        if line.raw.count(quote) % 2 == 0:
            continue
        looks += 1
        state = _quotes(first.raw + b"".join(one.raw for one in others), layout)
        if state != "open" or looks == _MAX_LOOKS:
            return others, state == "closed"
    return others, False


def _quotes(raw: bytes, layout: TextLayout) -> Literal["open", "closed", "wrong"]:
    """Whether a row so far ends inside a quoted text; wrong: it is no row of the file's columns.

    A lone quote within a word (5" pipe) opens none.
    """
    text = raw.decode(layout.encoding, "surrogateescape")
    try:
        cells = next(csv.reader([text], strict=True, **layout.reader_options()), [])  # type: ignore[arg-type]
    except csv.Error as error:
        return "open" if "end of data" in str(error) else "wrong"
    return "wrong" if any(cells[len(layout.columns) :]) else "closed"


def _row(record: _Record, layout: TextLayout, limit: int) -> Row:
    raw = record.raw
    if record.length > limit:
        raise InvalidEventError(
            "too_large", f"the row has {record.length:,} bytes; a row has at most {limit:,}"
        )
    if record.unclosed:
        raise InvalidEventError(
            MALFORMED_ROW, f"the row begins a text with {layout.quote} that does not end with it"
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
        cells = next(csv.reader([text], **layout.reader_options()), [])  # type: ignore[arg-type]
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
