"""93 payloads of public bug reports, exports and data sets come out as their senders expect.

A case that does not yet is marked with the part of the work that mends it; once it comes out right, the mark
has to go.
"""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ops.cli.files.fold import fold
from tests.feature_store.sources.ingest_cases.cases import FOLDER, Case, differences, load_cases
from tests.feature_store.sources.ingest_cases.doors import RECEIVED_MS, take

CASES = load_cases()


def _marked(case: Case) -> object:
    marks = [] if case.fails is None else [pytest.mark.xfail(strict=True, reason=case.fails)]
    return pytest.param(case, id=case.number, marks=marks)


@pytest.mark.parametrize("case", map(_marked, CASES))
def test_a_payload_comes_out_as_its_sender_expects(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case.room == "http":
        monkeypatch.setattr(time, "time_ns", lambda: RECEIVED_MS * 1_000_000)
    assert not differences(case, take(case, tmp_path))


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("ga4/24_ga4_export.parquet", ["--store", "acme"]),
        ("shopify/25_shopify_checkout_strings.ndjson", ["--format", "shopify", "--store", "acme"]),
        ("mapped/69_posthog_export.parquet", ["--mapping", str(FOLDER / "mapped" / "69_posthog.toml")]),
    ],
    ids=["24b-ga4", "24b-shopify", "24b-posthog"],
)
def test_fold_takes_any_file_that_check_accepts(path: str, options: list[str], tmp_path: Path) -> None:
    out = tmp_path / "folded.parquet"
    ran = CliRunner().invoke(fold, [str(FOLDER / path), *options, "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert pq.read_metadata(out).num_rows == 1


def test_every_input_is_of_a_case() -> None:
    used = {(case.room, name) for case in CASES for name in (case.file, case.mapping) if name}
    there = {(path.parent.name, path.name) for path in FOLDER.glob("*/*.*") if path.name != "cases.toml"}
    assert used == {one for one in there if not one[1].endswith(".pyc")}
    assert len({case.number for case in CASES}) == len(CASES) == 92  # the test of `fold` is the 93rd
