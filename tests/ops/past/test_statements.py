"""Which assignment held at a moment, and the archive of assignments that answers the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from feature_store.errors import EventSourceError
from feature_store.history.archive import purge
from feature_store.online.assignment import Assignment, encode_assignment
from ops.documents.pages import DOCS
from ops.errors import MomentError
from ops.past.assignment_archive import (
    ArchivedAssignment,
    archived_assignments,
    reached_in,
    write_assignments,
)
from ops.past.moment import Moment, parse_moment
from ops.past.statements import Statements

ANN, BOB = b"acme|ann", b"acme|bob"


def assigned(buyer: str, offset: int, at: int, **more: Any) -> Assignment:
    fields: dict[str, Any] = {
        "code": offset % 256,
        "token": "",
        "type": "looker",
        "confidence": None,
        "distance": 0.5,
        "margin": 0.1,
        "codebook_version": "v1",
        "events": 1,
        "reason": "code",
        "event_time": at,
        "partition": 0,
    }
    return Assignment(store="acme", buyer=buyer, offset=offset, assigned_at=at, **(fields | more))


TOPIC = [
    assigned("ann", 10, 1_000),
    assigned("bob", 20, 2_000),
    assigned("ann", 10, 2_500),  # sent again after a crash
    assigned("bob", 20, 2_600),
    assigned("bob", 30, 3_000),
    assigned("ann", 10, 4_000, reason="swap", codebook_version="v2"),
    assigned("ann", 40, 5_000, codebook_version="v2", events=2),
]
"""One partition's topic: v2 was swapped to when it had come to offset 30."""


def statements(void_before: int = -1) -> Statements:
    found = Statements(ANN, void_before)
    for a in TOPIC:
        found.add(f"acme|{a.buyer}".encode(), encode_assignment(a))
    return found


@pytest.mark.parametrize(
    ("moment", "offset", "version"),
    [
        (Moment(partition=0, offset=9), None, None),
        (Moment(partition=0, offset=10), 10, "v1"),
        (Moment(partition=0, offset=29), 10, "v1"),
        (Moment(partition=0, offset=30), 10, "v2"),
        (Moment(partition=0, offset=39), 10, "v2"),
        (Moment(partition=0, offset=40), 40, "v2"),
        (Moment(time=999), None, None),
        (Moment(time=2_550), 10, "v1"),
        (Moment(time=4_000), 10, "v2"),
        (Moment(), 40, "v2"),
    ],
)
def test_what_held_at_a_moment(moment: Moment, offset: int | None, version: str | None) -> None:
    found = statements().at(moment)
    held = None if found is None else (found.assignment.offset, found.assignment.codebook_version)
    assert held == (None if offset is None else (offset, version))


def test_what_was_erased_never_held() -> None:
    assert [one.assignment.offset for one in statements(void_before=40).kept] == [40]
    assert statements(void_before=41).at(Moment()) is None


def archived() -> list[ArchivedAssignment]:
    reached, found = -1, []
    for number, a in enumerate(TOPIC):
        reached = max(reached, a.offset)
        found.append(ArchivedAssignment(a, number, reached, encode_assignment(a)))
    return found


def test_the_archive_answers_as_the_topic_does(tmp_path: Path) -> None:
    write_assignments(tmp_path, "assignments", 0, 0, 5, archived()[:5], 30)
    write_assignments(tmp_path, "assignments", 0, 5, 7, archived()[5:], 40)
    files = sorted(tmp_path.rglob("*.parquet"))
    assert [reached_in(path) for path in files] == [30, 40]
    found = Statements(ANN, -1)
    for path in files:
        for one in archived_assignments(path, ANN):
            found.keep(one.assignment, one.since, one.raw)
    assert found.kept == statements().kept


def test_an_erased_buyer_is_taken_out(tmp_path: Path) -> None:
    write_assignments(tmp_path, "assignments", 0, 0, 7, archived(), 40)
    assert purge(tmp_path, "assignments", 0, {("acme", "ann"): 11}) == 3
    (path,) = tmp_path.rglob("*.parquet")
    assert [one.assignment.offset for one in archived_assignments(path, ANN)] == [40]
    assert len(archived_assignments(path, BOB)) == 3
    assert reached_in(path) == 40
    path.write_bytes(b"PAR1")
    with pytest.raises(EventSourceError, match="cannot be read"):
        archived_assignments(path, ANN)


def test_the_query_of_the_runbook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_assignments(tmp_path / "data" / "assignments", "assignments", 0, 0, 7, archived(), 40)
    page = (DOCS / "runbook.md").read_text()
    (query,) = re.findall(r"```python\n(import polars.+?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARS_FMT_MAX_COLS", "10")
    exec(compile(query, "runbook.md", "exec"), {})
    shown = capsys.readouterr().out
    assert "looker" in shown
    assert pl.scan_parquet(tmp_path / "data/assignments/**/*.parquet").collect().height == len(TOPIC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1795900000000", Moment(time=1_795_900_000_000)),
        ("3:1200", Moment(partition=3, offset=1200)),
        ("2026-11-28T00:00:00Z", Moment(time=1_795_824_000_000)),
        ("2026-11-28T01:00:00+01:00", Moment(time=1_795_824_000_000)),
        ("2026-11-28", Moment(time=1_795_824_000_000)),
    ],
)
def test_moments(text: str, moment: Moment) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "3:", "-5", "1:2:3", "1e9", "9" * 40, "2026-13-01"])
def test_no_moments(text: str) -> None:
    with pytest.raises(MomentError, match="is no moment"):
        parse_moment(text)
