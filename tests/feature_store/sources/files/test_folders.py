"""A folder or a pattern is read as one file would be."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_store.errors import EventSourceError
from feature_store.sources.files import folders
from feature_store.sources.files.folders import files_of


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    for name in (
        "b.csv",
        "a.ndjson.gz",
        "day=2/part-0.parquet",
        "day=1/part-0.parquet",
        "day=1/_SUCCESS",
        ".hidden.csv",
        "_tmp/c.csv",
        "readme.md",
        "export-0",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def named(folder: Path, path: Path) -> list[str]:
    return [str(found.relative_to(folder)) for found in files_of(path).paths]


def test_a_folder(exports: Path) -> None:
    assert named(exports, exports) == [
        "a.ndjson.gz",
        "b.csv",
        "day=1/part-0.parquet",
        "day=2/part-0.parquet",
        "export-0",
    ]
    assert files_of(exports).ignored == ["readme.md"]
    assert files_of(exports).size == 5


def test_patterns(exports: Path) -> None:
    assert named(exports, exports / "*.csv") == ["b.csv"]
    assert named(exports, exports / "**" / "*.parquet") == ["day=1/part-0.parquet", "day=2/part-0.parquet"]


def test_a_file_whose_name_is_like_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "orders [2026].csv"
    path.write_bytes(b"x")
    assert files_of(path).paths == [path]


def test_nothing_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, message in (
        (tmp_path, "holds no file of events"),
        (tmp_path / "*.csv", "no file is named as"),
        (tmp_path / "none.csv", "there is no file"),
    ):
        with pytest.raises(EventSourceError, match=message):
            files_of(path)
    monkeypatch.setattr(folders, "MAX_FILES", 1)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(EventSourceError, match="names 2 files; at most 1"):
        files_of(tmp_path)
