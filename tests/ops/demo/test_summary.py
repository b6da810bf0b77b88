"""The summary: exactly the agreed keys, and what counts as lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.demo.summary import Latency, Summary, Verdict, count_lost, write_summary
from ops.verify.report import VerifyReport

KEYS = {
    "events_in",
    "assignments_out",
    "dead_letters",
    "buyers",
    "events_per_s",
    "event_to_tag_ms",
    "lost",
    "verify",
    "seconds",
    "seed",
    "bundle",
}
SUMMARY = Summary(
    events_in=10,
    assignments_out=7,
    dead_letters={"not_json": 1},
    buyers=4,
    events_per_s=5.0,
    event_to_tag_ms=Latency(None, None),
    lost=0,
    verify=Verdict(4, 0, 0, 0),
    seconds=2.0,
    seed=None,
    bundle="v",
)


def test_the_file_has_exactly_the_agreed_keys(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("an older one")
    write_summary(path, SUMMARY)
    assert path.stat().st_mode & 0o077 == 0  # with --stay it holds a key of every store
    written = json.loads(path.read_text())
    assert written.keys() == KEYS
    assert written["verify"] == {"buyers": 4, "different": 0, "missing": 0, "extra": 0}
    assert written["event_to_tag_ms"] == {"p50": None, "p99": None}
    assert written["dead_letters"] == {"not_json": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("acknowledged", "covered", "report", "lost"),
    [
        (10, 10, VerifyReport(), 0),
        (10, 8, VerifyReport(not_folded=2), 2),
        (10, 10, VerifyReport(missing=3, unsaid=1), 4),
        (10, 12, VerifyReport(), 0),  # more than we sent: someone else's, not ours to count
        (10, 10, VerifyReport(different=5, extra=5), 0),  # wrong, but not lost: the verdict says it
    ],
)
def test_lost(acknowledged: int, covered: int, report: VerifyReport, lost: int) -> None:
    assert count_lost(acknowledged, covered, report) == lost
