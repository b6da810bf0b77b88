"""What a file is, by its name and its first bytes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_store.errors import EventSourceError
from feature_store.sources.files.kinds import kind_of

LINES = b'{"a": 1}\n'
ROWS = b"a,b\n1,2\n"


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.ndjson", LINES, ("json", None)),
        ("a.JSON", LINES, ("json", None)),
        ("export-000000000000", LINES, ("json", None)),
        ("export", b" [" + LINES, ("json", None)),
        ("export", "\ufeff{".encode("utf-16"), ("json", None)),
        ("a.csv", ROWS, ("text", None)),
        ("export", ROWS, ("text", None)),
        ("export.dat", b"a\tb\n", ("text", None)),
        ("a.csv.gz", gzip.compress(ROWS), ("text", "gzip")),
        ("a.gz", gzip.compress(ROWS), ("text", "gzip")),
        ("a.gz", gzip.compress(LINES), ("json", "gzip")),
        ("a.jsonl.zst", pa.compress(LINES, "zstd", asbytes=True), ("json", "zstd")),
        ("a.2026-11.gz", gzip.compress(LINES), ("json", "gzip")),
        ("a.json", gzip.compress(LINES), ("json", "gzip")),  # packed on the way, the name left as it was
        ("a.parquet", parquet(), ("parquet", None)),
        ("a.snappy.parquet", parquet(), ("parquet", None)),
        ("part-0", parquet(), ("parquet", None)),
    ],
)
def test_a_kind(tmp_path: Path, name: str, content: bytes, kind: tuple[str, str | None]) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"PK\x03\x04rest", "workbook: unzip it, or save the sheet as CSV"),
        ("a.xlsx", b"PK\x03\x04rest", "workbook"),
        ("a.avro", b"Obj\x01rest", "Avro"),
        ("a.json", b"BZh9rest", "bzip2"),
        ("a.json", parquet(), "name it .parquet"),
        ("a.parquet.gz", gzip.compress(parquet()), "parquet compresses inside"),
        ("a.ndjson.gz", LINES, "take .gz off its name"),
        ("a.txtx", b"hello", "no supported kind"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "no supported kind"),
    ],
)
def test_what_is_no_file_of_events_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EventSourceError, match=message):
        kind_of(tmp_path / name)
