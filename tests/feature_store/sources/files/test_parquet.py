"""Columns of other writers' types become ours before they are rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import EventSourceError
from feature_store.sources.files import parquet
from feature_store.sources.files.parquet import about, batches_of, naive_columns, rows_of

NAIVE = dt.datetime(2026, 6, 1, 12, 30)
BERLIN = ZoneInfo("Europe/Berlin")


def read(path: Path, **options: Any) -> list[dict[str, Any]]:
    chosen = {"columns": None, "zone": None, "texts": ()} | options
    return [row for batch in batches_of(path, **chosen) for row in rows_of(batch)]


def one(tmp_path: Path, values: pa.Array, **options: Any) -> list[Any]:
    pq.write_table(pa.table({"it": values}), tmp_path / "rows.parquet")
    return [row["it"] for row in read(tmp_path / "rows.parquet", **options)]


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (pa.array([NAIVE], pa.timestamp("us")), {}, NAIVE.replace(tzinfo=dt.UTC)),
        (pa.array([NAIVE], pa.timestamp("us")), {"zone": BERLIN}, NAIVE.replace(tzinfo=BERLIN)),
        (pa.array([NAIVE], pa.timestamp("s", "Europe/Berlin")), {}, NAIVE.replace(tzinfo=dt.UTC)),
        (
            pa.array([1_780_000_000_000_000_001], pa.timestamp("ns", "UTC")),
            {},
            dt.datetime(2026, 5, 28, 20, 26, 40, tzinfo=dt.UTC),
        ),
        (pa.array([Decimal("19.99")], pa.decimal128(9, 2)), {}, 19.99),
        (pa.array([Decimal(42)], pa.decimal128(9, 0)), {}, 42),
        (pa.array([Decimal(10**30)], pa.decimal128(38, 0)), {}, str(10**30)),
        (pa.array([float("nan"), 1.5]), {}, None),
        (pa.array([4711]), {"texts": {"it"}}, "4711"),
        (pa.array([4711.0, None]), {"texts": {"it"}}, "4711"),
        (pa.array([0.5]), {"texts": {"it"}}, 0.5),
        (pa.array([b"text"]), {}, "text"),
        (pa.array([b"\xff\xfe"]), {}, None),
        (pa.array(["a", "a"]).dictionary_encode(), {}, "a"),
        (pa.array([[{"element": 1}]]), {}, [{"element": 1}]),
    ],
    ids=lambda it: str(it)[:20],
)
def test_a_type(tmp_path: Path, values: pa.Array, options: dict[str, Any], expected: Any) -> None:
    found = one(tmp_path, values, **options)[0]
    assert found == expected
    assert type(found) is type(expected)


@settings(max_examples=40)
@given(value=st.decimals(0, 10**7, places=2))
def test_a_decimal_is_the_float_that_its_text_is(
    tmp_path_factory: pytest.TempPathFactory, value: Decimal
) -> None:
    values = pa.array([value], pa.decimal128(12, 2))
    assert one(tmp_path_factory.mktemp("decimals"), values) == [float(str(value))]


def test_only_the_columns_that_are_asked_for(tmp_path: Path) -> None:
    table = pa.table({"a": [1], "b": [2], "when": pa.array([NAIVE], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet", columns=["b"]) == [{"b": 2}]
    assert naive_columns(table.schema, None) == ["when"]
    assert naive_columns(table.schema, ["a"]) == []


def test_what_is_no_parquet_or_far_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": ["x" * 1_000] * 1_000}), path, use_dictionary=False)
    whole = path.read_bytes()
    monkeypatch.setattr(parquet, "FREE_BYTES", 100_000)
    monkeypatch.setattr(parquet, "MAX_EXPANSION", 1)
    with pytest.raises(EventSourceError, match="times its size"):
        about(path)
    for content in (b"", b"PAR1", whole[:-9], whole[:-1] + b"x", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(EventSourceError, match="no readable parquet file"):
            about(path)
    monkeypatch.setattr(parquet, "MAX_FOOTER_BYTES", 10)
    path.write_bytes(whole)
    with pytest.raises(EventSourceError, match="fewer columns"):
        about(path)


def test_a_table_of_many_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({f"c{i}": [i] for i in range(12)}), tmp_path / "rows.parquet")
    monkeypatch.setattr(parquet, "MAX_COLUMNS", 11)
    with pytest.raises(EventSourceError, match="12 columns; at most 11"):
        about(tmp_path / "rows.parquet")
