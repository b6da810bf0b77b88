"""Alerts: what lasts raises one, what is over ends one, and a retrain is asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.drift.alerts import AlertBook, Finding, request_retrain
from ops.drift.settings import DriftSettings
from ops.errors import DriftError
from ops.retraining.request import read_request

SETTINGS = DriftSettings(raise_after=2, clear_after=2, retrain_after=4)
MOVED = Finding("acme", "codes", "model", 1, {"psi": 0.4})
LATE = Finding(None, "late", "data", 1, {"share": 0.3})


def book_after(*looks: list[Finding]) -> AlertBook:
    book = AlertBook(version="v1")
    for window, findings in enumerate(looks):
        book.note(window, findings, SETTINGS)
    return book


def test_two_odd_windows_are_no_alert_and_three_are() -> None:
    assert book_after([MOVED], [MOVED]).active == []
    (alert,) = book_after([MOVED], [MOVED], [MOVED]).active
    assert (alert.store, alert.name, alert.since) == ("acme", "codes", 2)


def test_looks_of_a_long_span_share_votes_so_it_takes_more_of_them() -> None:
    slow = MOVED._replace(windows=72)
    assert book_after(*[[slow]] * 73).active == []
    (alert,) = book_after(*[[slow]] * 74).active
    assert (alert.windows, alert.since) == (72, 73)


def test_a_calm_window_starts_the_count_anew() -> None:
    assert book_after([MOVED], [MOVED], [], [MOVED], [MOVED]).active == []


def test_an_alert_ends_after_calm_windows_only() -> None:
    raised = [[MOVED]] * 3
    assert book_after(*raised, []).active
    assert book_after(*raised, [], [MOVED], []).active
    assert book_after(*raised, [], []).active == []


def test_alerts_of_stores_and_kinds_are_kept_apart() -> None:
    book = book_after([MOVED, LATE], [MOVED, LATE], [LATE])
    assert [(alert.store, alert.name) for alert in book.active] == [("*", "late")]


def test_a_retrain_is_asked_for_when_an_alert_about_the_model_lasts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert book_after(*[[LATE]] * 20).wanting_retrain(SETTINGS) is None
    assert book_after(*[[MOVED]] * 5).wanting_retrain(SETTINGS) is None
    book = book_after(*[[MOVED]] * 6)
    alert = book.wanting_retrain(SETTINGS)
    assert alert is not None
    assert request_retrain(home, alert, "2026-11-24T08:00:00+00:00", {"codebook_version": "v1"})
    request = read_request(home)
    assert request is not None
    assert request.requested_at == "2026-11-24T08:00:00+00:00"
    assert request.reason == "codes of store acme has drifted from the reference"
    assert request.store == "acme"
    assert request.figures == {"feature": "codes", "psi": 0.4, "codebook_version": "v1"}
    assert book.wanting_retrain(SETTINGS) is None, "an alert asks once"


def test_a_pending_request_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "retrain-request.json"
    path.write_text("pending")
    alert = book_after(*[[MOVED]] * 6).wanting_retrain(SETTINGS)
    assert alert is not None
    assert not request_retrain(tmp_path, alert, "now", {})
    assert path.read_text() == "pending"


def test_the_book_survives_a_restart_but_not_a_swap(tmp_path: Path) -> None:
    path, book = tmp_path / "drift.json", book_after([MOVED], [MOVED])
    book.save(path)
    again = AlertBook.load(path, "v1")
    again.note(2, [MOVED], SETTINGS)
    assert again.active
    assert AlertBook.load(path, "v2").alerts == []


def test_a_damaged_book_is_named(tmp_path: Path) -> None:
    path = tmp_path / "drift.json"
    path.write_text("{")
    with pytest.raises(DriftError, match=r"drift\.json cannot be read"):
        AlertBook.load(path, "v1")
