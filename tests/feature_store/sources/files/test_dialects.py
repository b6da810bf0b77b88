"""How rows of text are written is found by looking."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import EventSourceError
from feature_store.sources.adapters.mapping.language import Dialect
from feature_store.sources.files.dialects import MAX_COLUMNS, encoding_of, sniff
from feature_store.sources.files.kinds import Kind

TEXT = Kind("text", None)
CELLS = st.text("abcxyz0123456789 .,;:-/'\"\n|", max_size=10) | st.sampled_from(
    ["1,299.00", "19,99", "a > b"]
)


@settings(max_examples=60)
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
)
def test_a_quoted_file_is_seen_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str, encoding: str
) -> None:
    path = tmp_path_factory.mktemp("dialects") / "file.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerow(["time", "user id", "größe"])
        writer.writerows(rows)
    found = sniff(path, TEXT)
    assert (found.delimiter, found.quote, found.columns) == (delimiter, '"', ("time", "user id", "größe"))
    assert found.header
    expected = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
    assert found.file_encoding == expected


@pytest.mark.parametrize(
    ("content", "delimiter", "quote", "escape"),
    [
        (b"a,b\n'x, y',2\n", ",", "'", None),
        (b'a;b\n"1,5";"say \\"hi\\""\n', ";", '"', "\\"),
        (b'a,b\n"1","say ""\\"" twice"\n', ",", '"', None),
        (b'a,b\n"","C:\\"\n', ",", '"', "\\"),
        (b"a|b|c\n1|2,0|3\n", "|", '"', None),
        (b"a\tb\n1\t2,3;4\n", "\t", '"', None),
    ],
)
def test_signs(tmp_path: Path, content: bytes, delimiter: str, quote: str, escape: str | None) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    found = sniff(path, TEXT)
    assert (found.delimiter, found.quote, found.escape) == (delimiter, quote, escape)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no records"),
        (b"just words\nwithout columns\n", r"without columns.*\[dialect\]"),
        (b"2026-11-20 10:00:00,7,view\n2026-11-20 10:00:01,8,view\n", r"no header.*\[dialect\] with columns"),
        (b"a,b,a\n1,2,3\n", "no header"),
        (b"x" * (1 << 20) + b",y\n", "first line has more than"),
        (",".join(f"c{i}" for i in range(MAX_COLUMNS + 1)).encode(), "10,001 columns; at most 10,000"),
    ],
    ids=["empty", "no columns", "no header", "twice", "long", "many"],
)
def test_what_looking_cannot_tell(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with pytest.raises(EventSourceError, match=message):
        sniff(path, TEXT)


def test_what_a_dialect_says_is_not_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes("1~'é'~3\n".encode("latin-1"))
    given = Dialect(delimiter="~", quote="'", encoding="latin-1", columns=["a", "b", "c"])
    found = sniff(path, TEXT, given)
    assert (found.columns, found.header, found.delimiter) == (("a", "b", "c"), False, "~")
    path.write_bytes(b"a~b~c\n1~2~3\n")
    assert sniff(path, TEXT, given).header
    with pytest.raises(EventSourceError, match="no encoding 'klingon'"):
        sniff(path, TEXT, Dialect(encoding="klingon"))


@pytest.mark.parametrize(
    ("sample", "encoding"),
    [
        (b"plain", "utf-8"),
        ("Łódź, größe, €".encode(), "utf-8"),
        ("größe, €".encode("cp1252"), "cp1252"),
        (b"gr\xf6\x81e", "latin-1"),
        ("größe größe größe".encode() + "ö,".encode("latin-1") + b" and on", "utf-8"),
    ],
)
def test_encodings(sample: bytes, encoding: str) -> None:
    assert encoding_of(sample) == encoding
