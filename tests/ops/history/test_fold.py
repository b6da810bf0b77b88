"""`simpersona fold`: the features of a file, of an archive, and of a prefix."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from feature_store.contract.events import Event
from feature_store.errors import EventSourceError
from feature_store.fold.vector import SCALARS
from feature_store.history.archive import ArchivedEvent, write_archive_file, write_bases
from feature_store.history.offline_fold import fold_history
from feature_store.sources.writer import write_events
from ops.cli.files.fold import fold
from tests.strategies import START, event


def some(count: int) -> list[Event]:
    return [
        event(event_id=f"e{i}", buyer=f"b{i % 3}", timestamp=START + i * 1_000, product_id=f"p{i}", price=2.0)
        for i in range(count)
    ]


def run(*arguments: str | Path) -> pl.DataFrame:
    out = Path(str(arguments[-1]))
    result = CliRunner().invoke(fold, [*map(str, arguments[:-1]), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return pl.read_parquet(out)


def test_one_row_a_buyer_with_the_folds_own_numbers(tmp_path: Path) -> None:
    events = some(12)
    write_events(tmp_path / "e.ndjson", [events])
    table = run(tmp_path / "e.ndjson", tmp_path / "f.parquet")
    history = fold_history([events])
    assert table["buyer"].to_list() == ["b0", "b1", "b2"]
    for i, scalar in enumerate(SCALARS):
        assert table[scalar.name].to_list() == history.vectors()[:, i].tolist()
    assert table["viewed_embedding"][1].to_list() == history.vectors()[1, 16:144].tolist()
    assert table["has_viewed"].to_list() == [1, 1, 1]
    assert table["has_carted"].to_list() == [0, 0, 0]
    assert (table["last_time"] - table["first_time"]).to_list() == [9_000] * 3


def test_an_archive_folds_like_the_file_it_came_from(tmp_path: Path) -> None:
    events = some(30)
    write_bases(tmp_path / "archive", "clicks", [events[:10]], lambda _: 0, 1)
    for start, end in ((0, 12), (12, 20)):
        archived = [ArchivedEvent(events[10 + i], 0, i, START) for i in range(start, end)]
        write_archive_file(tmp_path / "archive", "clicks", 0, start, end, archived)
    write_events(tmp_path / "e.parquet", [events])
    from_archive = run(tmp_path / "archive", tmp_path / "a.parquet")
    assert from_archive.equals(run(tmp_path / "e.parquet", tmp_path / "f.parquet"))


@pytest.mark.parametrize("prefix", [1, 3])
def test_a_prefix_is_the_buyer_as_they_looked_then(tmp_path: Path, prefix: int) -> None:
    write_events(tmp_path / "e.ndjson", [some(12)])
    table = run(tmp_path / "e.ndjson", "--prefix", str(prefix), tmp_path / "f.parquet")
    assert table["events"].to_list() == [prefix] * 3


def test_a_folder_that_is_no_archive_is_said_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(fold, [str(tmp_path), "--out", str(tmp_path / "f.parquet")])
    assert result.exit_code == 1
    assert "is no archive" in str(result.exception)
    assert not (tmp_path / "f.parquet").exists()


def test_garbage_is_an_error_that_names_it_and_some_of_it_a_warning(tmp_path: Path) -> None:
    bad, out = tmp_path / "bad.ndjson", tmp_path / "f.parquet"
    bad.write_bytes(b"garbage\n")
    with pytest.raises(
        EventSourceError, match="holds no event: of 1 records not taken: 1 malformed_json; line 1"
    ):
        CliRunner().invoke(fold, [str(bad), "--out", str(out)], catch_exceptions=False)
    assert not out.exists()
    write_events(bad, [some(3)])
    bad.write_bytes(bad.read_bytes() + b"garbage\n")
    with capture_logs() as said:
        assert run(bad, out)["events"].sum() == 3
    assert [(line["event"], line["malformed_json"]) for line in said] == [("records_refused", 1)]
