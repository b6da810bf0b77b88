"""Rows of text: what a writer of CSV wrote is read again, and a bad row costs itself alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.sources.files.dialects import TextLayout
from feature_store.sources.files.rows import TextRow, rows_of

LIMIT = 10_000
COLUMNS = ("time", "user", "note")
CELLS = st.text(st.characters(exclude_characters="\0\r", codec="utf-8"), max_size=12).filter(
    lambda text: not text.startswith('="')
)
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6)


def layout(delimiter: str = ",", encoding: str = "utf-8", columns: tuple[str, ...] = COLUMNS) -> TextLayout:
    return TextLayout(delimiter, '"', None, encoding, encoding, columns, header=False)


def read(content: bytes, how: TextLayout | None = None, limit: int = LIMIT) -> list[TextRow]:
    return list(rows_of(io.BufferedReader(io.BytesIO(content)), Path("f.csv"), how or layout(), limit))  # type: ignore[type-var]


def good(rows: list[TextRow]) -> list[list[str]]:
    return [[cell or "" for cell in row.row.values()] for row in rows if row.refused is None]


def written(rows: list[list[str]], delimiter: str = ",", quoting: int = csv.QUOTE_ALL) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n", quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue().encode()


@given(
    rows=ROWS, delimiter=st.sampled_from(",;\t|"), quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
)
def test_what_is_written_is_read_again(rows: list[list[str]], delimiter: str, quoting: int) -> None:
    assert good(read(written(rows, delimiter, quoting), layout(delimiter))) == rows


@given(rows=ROWS)
def test_a_quote_that_nothing_closes_costs_its_own_row(rows: list[list[str]]) -> None:
    broken = b'7,"open\n'
    before, after = written(rows[:3]), written(rows[3:])
    found = read(before + broken + after)
    assert good(found) == rows
    (bad,) = (row for row in found if row.refused is not None)
    assert bad.number == before.count(b"\n") + 1
    assert "does not end" in str(bad.refused)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"1,2,3,4\n", "4 cells"),
        (b"1,\x002,3\n", "NUL"),
        (b"1,caf\xe9,3\n", "not utf-8"),
        (b"1," + b"x" * LIMIT + b",3\n", "at most 10,000"),
        (b'1,"' + b"x\n" * LIMIT, "does not end"),
        (b"1,2", "2 cells"),
    ],
    ids=["cells", "nul", "encoding", "long", "open", "cut off"],
)
def test_a_bad_row_says_why(raw: bytes, reason: str) -> None:
    first = read(b"a,b,c\n" + raw)[1]
    assert first.refused is not None
    assert reason in str(first.refused)
    assert first.number == 2


@pytest.mark.parametrize(
    ("raw", "cells"),
    [
        (b'1,5" pipe,3\n', ["1", '5" pipe', "3"]),
        (b"1,2\n", ["1", "2", ""]),
        (b"1,2,3,,\n", ["1", "2", "3"]),
        (b'1,="0042",3\n', ["1", "0042", "3"]),
        (b'1,"=cmd|calc",3\n', ["1", "=cmd|calc", "3"]),
        (b'1,"two\nlines"\n', ["1", "two\nlines", ""]),
    ],
)
def test_rows_as_people_have_them(raw: bytes, cells: list[str]) -> None:
    assert good(read(raw)) == [cells]


def test_other_encodings() -> None:
    assert good(read("1,café,€\n".encode("cp1252"), layout(encoding="cp1252"))) == [["1", "café", "€"]]
