"""Rows as bytes: what is packed comes back, rows of the release before are read, others are refused."""

from __future__ import annotations

import struct

import pytest

from feature_store.errors import RowVersionError
from feature_store.fold.state import FOLD_VERSION
from feature_store.online import migrations
from feature_store.online.encoding import Progress, RowHeader, pack_row, unpack_row

HEADER = RowHeader(since_offset=3, last_offset=9, code=17, type=-1, band=4, version=5, counted=False)
ROW = pack_row(HEADER, b"state")
OF_0_1_0 = struct.pack("<HqqhbBI", 1, 3, 9, 17, -1, 0x84, 5) + b"state"


def test_a_row_comes_back() -> None:
    assert unpack_row(ROW) == (HEADER, b"state")
    counted = HEADER._replace(counted=True)
    assert unpack_row(pack_row(counted, b"state")) == (counted, b"state")


def test_a_row_of_the_release_before_is_read_and_packs_as_a_present_one() -> None:
    header, state = unpack_row(OF_0_1_0)
    assert (header, state) == (HEADER._replace(fold=1), b"state" + bytes(8 * 18))
    assert (header.forecast, header.forecast_band) == (-1, 0)


def test_a_row_keeps_the_fold_that_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_store.online.encoding.FOLD_VERSION", FOLD_VERSION + 1)
    header, state = unpack_row(ROW)
    assert header.fold == FOLD_VERSION
    assert pack_row(header, state) == ROW


def test_rows_are_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    next_version = migrations.ROW_VERSION + 1
    steps = {**migrations.STEPS, next_version - 1: lambda row: bytes((next_version,)) + row[1:] + b"!"}
    before = migrations.to_present(OF_0_1_0)
    monkeypatch.setattr(migrations, "STEPS", steps)
    monkeypatch.setattr(migrations, "ROW_VERSION", next_version)
    assert migrations.to_present(OF_0_1_0) == bytes((next_version,)) + before[1:] + b"!"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (bytes((migrations.ROW_VERSION + 1,)) + ROW[1:], "a later release has written here"),
        (bytes((0,)) + ROW[1:], "run a release in between first, or empty the store and backfill"),
        (ROW[:1] + bytes((FOLD_VERSION + 1,)) + ROW[2:], f"version {FOLD_VERSION + 1} of the fold"),
        (b"short", "has 5 bytes"),
        (b"", "has 0 bytes"),
    ],
)
def test_what_this_release_cannot_read_is_refused(row: bytes, why: str) -> None:
    with pytest.raises(RowVersionError, match=why):
        unpack_row(row)


def test_the_progress_row_names_the_row_version_of_its_partition() -> None:
    present = Progress(10, 20, 3)
    assert present.to_bytes() == b"10 20 3 3"
    assert Progress.from_bytes(b"10 20 3 3") == present
    of_0_1_0 = Progress.from_bytes(b"10 20 3")
    assert of_0_1_0 == Progress(10, 20, 3, row_version=1)
    assert of_0_1_0.to_bytes() == b"10 20 3"


@pytest.mark.parametrize("raw", [b"", b"10 20", b"10 20 x", b"10 20 3 2 9"])
def test_a_progress_row_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(RowVersionError, match="is not '<offset> <watermark> <sequence> <row version>'"):
        Progress.from_bytes(raw)


def test_a_partition_of_a_later_release_is_refused() -> None:
    with pytest.raises(RowVersionError, match=r"folded up to offset 10 is of row version 4.*a later release"):
        Progress.from_bytes(b"10 20 3 4")


def test_release_0_1_0_refuses_a_claimed_partition() -> None:
    """Its parser, as it was: three integers or an error that names the row."""
    with pytest.raises(ValueError, match="too many values"):
        _next_offset, _watermark, _sequence = map(int, Progress(10, 20, 3).to_bytes().split())
