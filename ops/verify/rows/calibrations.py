"""The calibrations that the store keeps of a partition, against those in its log."""

from __future__ import annotations

from collections.abc import Mapping

from feature_store.errors import RowVersionError
from feature_store.online.keys import CALIBRATIONS
from feature_store.online.mending import Fix
from inference.calibration.in_force import read_row
from ops.verify.expected.calibrations import PartitionCalibrations
from ops.verify.findings import Findings


def compare_calibrations(
    expected: PartitionCalibrations, stored: Mapping[bytes, bytes], end: int, found: Findings
) -> None:
    """Compare rows by their offsets. end: the store's next offset; rows from there on are newer than the log
    that was read."""
    for field, raw in expected.rows.items():
        seen = stored.get(field)
        found.report.calibrations += 1
        if seen != raw:
            what = "missing" if seen is None else "record"
            fix = Fix(CALIBRATIONS, field, seen, raw)
            found.note("calibrations_wrong", f"calibration.{what}", f"offset {field.decode()}", fix)
    for field, raw in stored.items():
        if field in expected.rows:
            continue
        place = f"offset {field[:20].decode(errors='replace')}"
        try:
            offset, _ = read_row(field, raw)
        except RowVersionError:
            found.note("calibrations_wrong", "calibration.unreadable", place, _gone(expected, field, raw))
            continue
        found.report.calibrations += 1
        if expected.log_begins <= offset < end:
            fix = Fix(CALIBRATIONS, field, raw, None)
            found.note("calibrations_wrong", "calibration.extra", place, fix)


def _gone(expected: PartitionCalibrations, field: bytes, raw: bytes) -> Fix | None:
    """Without a place in the log that can be read, nobody knows what an unreadable row held."""
    known = field.isdigit() and int(field) < expected.log_begins
    return None if known else Fix(CALIBRATIONS, field, raw, None)
