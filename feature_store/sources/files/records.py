"""The records of one file, whatever its layout, in batches with their places, in constant memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from feature_store.errors import InvalidEventError
from feature_store.sources.adapters.mapping.language import Dialect
from feature_store.sources.files import parquet
from feature_store.sources.files.dialects import TextLayout, sniff
from feature_store.sources.files.json_values import is_multi_line, values_of
from feature_store.sources.files.kinds import Kind, kind_of
from feature_store.sources.files.lines import Raw, lines_of
from feature_store.sources.files.rows import rows_of
from feature_store.sources.files.streams import begin, unpacked

_DELIMITER_NAMES: Final = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "|"}


class Record(NamedTuple):
    """A row of a text file, by column. place: as messages name it; refused: why it is none."""

    number: int
    place: str
    row: dict[str, Any]
    refused: InvalidEventError | None


class EventFile:
    """One file: what it is, and its records. Making it reads only its beginning (parquet: its end)."""

    def __init__(self, path: Path, dialect: Dialect | None = None) -> None:
        """Look at a file; `dialect` says what need not be found by looking.

        Raises:
            EventSourceError: it cannot be read, or is none that events are read from.
        """
        self.path = path
        self.kind: Kind = kind_of(path)
        self.size = max(path.stat().st_size, 1)
        self.position = 0
        """How many bytes of the file were read, for a progress bar."""
        self.layout: TextLayout | None = None
        self.columns: tuple[str, ...] | None = None
        """The names of its columns; None: records name their own fields."""
        self._about: parquet.ParquetAbout | None = None
        self._multi_line = False
        self._encoding = "utf-8"
        if self.kind.layout == "text":
            self.layout = sniff(path, self.kind, dialect)
            self.columns = self.layout.columns
        elif self.kind.layout == "parquet":
            self._about = parquet.about(path)
            self.columns = tuple(self._about.schema.names)
        else:
            with unpacked(path, self.kind.compression) as (_, raw):
                self._encoding = raw.encoding
            self._multi_line = is_multi_line(begin(path, self.kind.compression))

    def read_as(self, columns: Collection[str] | None = None, zone: tzinfo | None = None) -> list[str]:
        """What is taken from looking at the file, not from what anybody said: sentences for a report."""
        packed = f", {self.kind.compression}" if self.kind.compression else ""
        if self.layout is not None:
            named = _DELIMITER_NAMES.get(self.layout.delimiter, repr(self.layout.delimiter))
            return [f"rows of text, columns by {named}, encoding {self.layout.file_encoding}{packed}"]
        if self._about is not None:
            naive = parquet.naive_columns(self._about.schema, columns)
            assumed = (
                [] if not naive else [f"times without a zone ({', '.join(naive)}) read as {zone or UTC}"]
            )
            return ["parquet", *assumed]
        encoding = "" if self._encoding == "utf-8" else f", encoding {self._encoding}"
        layout = "JSON, an array or values over several lines" if self._multi_line else "JSON lines"
        return [f"{layout}{encoding}{packed}"]

    def raw_values(self, limit: int) -> Iterator[tuple[str, Raw]]:
        """The values of a JSON file, not decoded, with their places. At most `limit` bytes of one are held.

        Raises:
            EventSourceError: the file cannot be read.
        """
        with unpacked(self.path, self.kind.compression) as (file, raw):
            word = "record" if self._multi_line else "line"
            values = values_of(file, self.path, limit) if self._multi_line else lines_of(file, limit)
            for value in values:
                self.position = raw.position
                yield f"{word} {value.number}", value

    def text_rows(self, limit: int) -> Iterator[Record]:
        """The rows of a text file; one over `limit` bytes is refused.

        Raises:
            EventSourceError: the file cannot be read.
        """
        assert self.layout is not None
        with unpacked(self.path, self.kind.compression) as (file, raw):
            for row in rows_of(file, self.path, self.layout, limit):
                self.position = raw.position
                yield Record(row.number, f"line {row.number}", row.row, row.refused)

    def batches(
        self, columns: Collection[str] | None, zone: tzinfo | None, texts: Collection[str]
    ) -> Iterator[pa.RecordBatch]:
        """The rows of a parquet file, see parquet.batches_of; only those of `columns` that it has.

        Raises:
            EventSourceError: the file is damaged.
        """
        assert self._about is not None
        wanted = None if columns is None else [name for name in self._about.schema.names if name in columns]
        done = 0
        for batch in parquet.batches_of(self.path, wanted, zone, texts):
            done += batch.num_rows
            self.position = self.size * done // max(self._about.rows, 1)
            yield batch

    def count(self) -> int:
        """How many records there are; reads the file."""
        if self._about is not None:
            return self._about.rows
        if self.layout is not None:
            return sum(1 for _ in self.text_rows(1 << 20))
        return sum(1 for _ in self.raw_values(0))
