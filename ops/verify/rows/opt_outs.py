"""Who the store says has opted out, against the log; and that nothing was assigned to them since."""

from __future__ import annotations

from collections.abc import Iterable

from feature_store.online.keys import OPT_OUTS
from feature_store.online.mending import Fix
from ops.verify.expected.consents import PartitionConsents
from ops.verify.findings import Findings


def compare_opt_outs(
    expected: PartitionConsents, stored: Iterable[tuple[bytes, bytes]], found: Findings
) -> None:
    """Compare (Kafka key, offset after the withdrawal)."""
    wanted = expected.finish()
    for _ in range(expected.late):
        found.note("after_opt_out", "assignment.after_opt_out", "")
    for key, row in stored:
        found.report.opted_out += 1
        its = wanted.pop(key, None)
        if row != its and not expected.is_ahead(key):
            what = "extra" if its is None else "offset"
            place = f"offset {row[:20].decode(errors='replace')}"
            found.note("opt_outs_wrong", f"opt_out.{what}", place, Fix(OPT_OUTS, key, row, its))
    for key, its in wanted.items():
        if not expected.is_ahead(key):
            place = f"offset {its.decode()}"
            found.note("opt_outs_wrong", "opt_out.missing", place, Fix(OPT_OUTS, key, None, its))
