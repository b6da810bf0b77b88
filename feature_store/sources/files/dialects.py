"""How a text file of columns is written: encoding, delimiter, quote and header, found by looking."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from statistics import mode
from typing import Final, NamedTuple

from feature_store.errors import EventSourceError
from feature_store.sources.adapters.mapping.language import Dialect
from feature_store.sources.files.kinds import Kind
from feature_store.sources.files.streams import unpacked

MAX_COLUMNS: Final = 10_000
_SAMPLE_BYTES: Final = 1 << 20
_SAMPLE_ROWS: Final = 200
_DELIMITERS: Final = ",\t;|"
_BEYOND_ASCII: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_NO_CP1252: Final = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_BACKSLASHED: Final = re.compile(r'\\"')
_DOUBLED: Final = re.compile(r'[^,;\t|\n]""|""[^,;\t|\r\n]')
_COLUMN_NAME: Final = re.compile(r"[^\W\d][^\n\r{}\[\]]{0,127}")
_NO_HEADER: Final = (
    "has no header with the columns' names; name them in a mapping file: "
    '[dialect] with columns = ["time", "user", ...] (docs/mapping.md)'
)


class TextLayout(NamedTuple):
    """How a text file is written. header: whether its first row names the columns.

    file_encoding: of the file on disk. UTF-16 is unpacked to UTF-8 before rows are cut: `encoding` is theirs.
    """

    delimiter: str
    quote: str
    escape: str | None
    encoding: str
    file_encoding: str
    columns: tuple[str, ...]
    header: bool

    def reader_options(self) -> dict[str, object]:
        """For csv.reader."""
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote,
            "escapechar": self.escape,
            "doublequote": True,
        }


def sniff(path: Path, kind: Kind, given: Dialect | None = None) -> TextLayout:
    """How a text file is written; what `given` says is not looked for.

    Raises:
        EventSourceError: it cannot be read, is no text of columns, or does not name its columns.
    """
    given = given or Dialect()
    with unpacked(path, kind.compression) as (file, raw):
        sample, file_encoding = file.read(_SAMPLE_BYTES), raw.encoding
    if not sample.strip():
        raise EventSourceError(f"{path} holds no records")
    encoding = "utf-8" if file_encoding != "utf-8" else given.encoding or encoding_of(sample)
    if file_encoding == "utf-8":
        file_encoding = encoding
    text = _decoded(path, sample, encoding)
    if len(sample) == _SAMPLE_BYTES:
        text = text[: text.rfind("\n") + 1] or text
    if "\n" not in text and len(sample) == _SAMPLE_BYTES:
        raise EventSourceError(
            f"{path}: its first line has more than {_SAMPLE_BYTES:,} bytes: are these rows of columns?"
        )
    quote = given.quote or _quote_of(text)
    escape = "\\" if quote == '"' and _BACKSLASHED.search(text) and not _is_doubled(text) else None
    delimiter = given.delimiter or _delimiter_of(path, text, quote, escape)
    layout = TextLayout(delimiter, quote, escape, encoding, file_encoding, (), header=False)
    first: list[str] = next(_rows(text, layout), [])
    columns, header = tuple(name.strip() for name in first), True
    if given.columns is not None:
        header = columns == tuple(given.columns)
        columns = tuple(given.columns)
    elif not _names_columns(columns):
        raise EventSourceError(f"{path} {_NO_HEADER}")
    if len(columns) > MAX_COLUMNS:
        raise EventSourceError(f"{path} has {len(columns):,} columns; at most {MAX_COLUMNS:,} are read")
    return layout._replace(columns=columns, header=header)


def encoding_of(sample: bytes) -> str:
    """utf-8, unless bytes beyond ASCII are none: then cp1252, or latin-1 where that has no such letter.

    A sample with both has rows of another encoding in a file of UTF-8, which are refused one by one.
    """
    if len(sample) == _SAMPLE_BYTES:
        sample = sample[: sample.rfind(b"\n") + 1]  # it may end inside a letter
    known = _BEYOND_ASCII.sub(b"", sample)
    foreign = len(_HIGH.findall(known))
    if not foreign or len(_BEYOND_ASCII.findall(sample)) > foreign:
        return "utf-8"
    return "latin-1" if _NO_CP1252.search(known) else "cp1252"


def _decoded(path: Path, sample: bytes, encoding: str) -> str:
    try:
        return sample.decode(encoding, "surrogateescape")
    except LookupError:
        raise EventSourceError(
            f"{path}: there is no encoding {encoding!r}: name one as Python does, as cp1252"
        ) from None


def _quote_of(text: str) -> str:
    if '"' not in text and re.search(r"(^|[,;\t|])'[^'\n]*'([,;\t|]|\r?$)", text, re.MULTILINE):
        return "'"
    return '"'


def _is_doubled(text: str) -> bool:
    """Whether a quote within a quoted text is written twice; "" alone is an empty text."""
    return _DOUBLED.search(_BACKSLASHED.sub("", text)) is not None


def _rows(text: str, layout: TextLayout) -> csv.Reader:  # type: ignore[name-defined]  # typeshed calls it _csv.Reader
    return csv.reader(text.splitlines(keepends=True), **layout.reader_options())  # type: ignore[arg-type]


def _delimiter_of(path: Path, text: str, quote: str, escape: str | None) -> str:
    """The sign that cuts most rows into the same number of columns, more than one."""
    best, best_score = "", (0.0, 0)
    for sign in _DELIMITERS:
        counts = []
        layout = TextLayout(sign, quote, escape, "", "", (), header=False)
        try:
            for row in _rows(text, layout):
                if row:
                    counts.append(len(row))
                if len(counts) == _SAMPLE_ROWS:
                    break
        except csv.Error:
            if not counts:
                continue
        columns = mode(counts) if counts else 0
        score = (round(counts.count(columns) / len(counts), 1) if counts else 0.0, columns)
        if columns > 1 and score > best_score:
            best, best_score = sign, score
    if not best:
        raise EventSourceError(
            f"{path} is of no supported kind: it is text without columns (by comma, tab, semicolon or |); if "
            "they are cut otherwise, say so in a mapping file: [dialect] with delimiter (docs/mapping.md)"
        )
    return best


def _names_columns(first: tuple[str, ...]) -> bool:
    """Whether a first row is one of names: each a word, each once."""
    return len(set(first)) == len(first) and all(_COLUMN_NAME.fullmatch(name) for name in first)
