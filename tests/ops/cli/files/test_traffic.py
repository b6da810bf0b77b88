"""`events generate` and `events replay`: files, reports, and what is refused as bad usage."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from feature_store.contract.events import decode_event
from ops.cli.files.traffic import generate, replay
from ops.traffic import TrafficError


def test_a_file_with_its_truth_and_a_report(tmp_path: Path) -> None:
    out, truth = tmp_path / "e.ndjson", tmp_path / "t.parquet"
    arguments = ["--out", str(out), "--truth", str(truth), "--buyers", "50", "--seed", "4", "--json"]
    result = CliRunner().invoke(generate, arguments, catch_exceptions=False)
    report = json.loads(result.stdout)
    events = [decode_event(line) for line in out.read_bytes().splitlines()]
    assert report["events"] == len(events) > 0
    assert report["buyers"] == 50
    assert {event.buyer for event in events} == set(pq.read_table(truth)["buyer"].to_pylist())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--to-kafka"],
        ["--out", "a.ndjson", "--to-kafka", "--rate", "5"],
        ["--out", "a.ndjson", "--rate", "5"],
        ["--to-kafka", "--rate", "0"],
        ["--to-kafka", "--rate", "5", "--truth", "t.parquet"],
    ],
)
def test_generate_refuses_what_does_not_fit_together(arguments: list[str]) -> None:
    assert CliRunner().invoke(generate, arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-file.ndjson"],
        [__file__, "--dead-letters"],
        [__file__, "--rate", "5", "--speed", "5"],
        [__file__, "--reason", "empty"],
        ["--dead-letters", "--rate", "5"],
        ["--dead-letters", "--store", "acme"],
    ],
)
def test_replay_refuses_what_does_not_fit_together(arguments: list[str]) -> None:
    assert CliRunner().invoke(replay, arguments).exit_code == 2


def test_a_parameter_out_of_range_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TrafficError, match="duplicates is 2"):
        CliRunner().invoke(
            generate, ["--out", str(tmp_path / "a.ndjson"), "--duplicates", "2"], catch_exceptions=False
        )
