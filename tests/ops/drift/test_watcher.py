"""From windows to alert, request and metrics: a shift among quiet stores, window after window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from prometheus_client import generate_latest

from feature_store.online.intake import Items
from inference.bundles.reference import SPANS_MS, Reference
from inference.counts.profile import FEATURE, Counts, empty_profile
from inference.counts.windows import StoreWindow
from ops.drift.alerts import BOOK
from ops.drift.exporter import DriftMetrics
from ops.drift.look import Watcher
from ops.drift.report import tables, to_dict
from ops.drift.settings import DriftSettings
from ops.drift.windows import SlidingWindows
from ops.retraining.request import read_request

LENGTH_MS = 300_000
FIRST = 5_000
SHARES = np.random.default_rng(1).dirichlet(np.ones(40))


def profile(rng: np.random.Generator, votes: int, shares: np.ndarray) -> Counts:
    counts = empty_profile()
    counts[FEATURE["codes"].cells][: len(shares)] = rng.multinomial(votes, shares)
    counts[FEATURE["event_mix"].cells][0] = votes
    return counts


class Live:
    """Windows of two stores; one of them changes in window `moves`. Event time is where `now` is."""

    def __init__(self, moves: int) -> None:
        self.moves, self.now, self.reads = moves, FIRST, 0
        self.met: dict[int, dict[str, Items]] = {}

    def newest(self) -> int:
        return self.now

    def windows(self, first: int, end: int) -> dict[int, dict[StoreWindow, Counts]]:
        self.reads += end - first
        found = {}
        for number in range(max(first, FIRST - 72), min(end, self.now + 1)):
            rng = np.random.default_rng(number)
            moved = SHARES[::-1] if number >= self.moves else SHARES
            found[number] = {
                StoreWindow("v1", "quiet"): profile(rng, 200, SHARES),
                StoreWindow("v1", "moved"): profile(rng, 200, moved),
                StoreWindow("v0", "moved"): profile(rng, 900, SHARES[::-1]),  # another codebook: left out
            }
        return found

    def read(self, _numbers: object) -> dict[int, dict[str, Items]]:
        return {self.now - 1: {"quiet": Items(known=60, unknown=40)}, **self.met}


def watcher(live: Live, home: Path, unknown: float = 1.0) -> Watcher:
    pooled = profile(np.random.default_rng(2), 100_000, SHARES)
    reference = Reference(pooled, {}, {span: {"codes": 1.3} for span in SPANS_MS})
    windows = SlidingWindows(live, live, LENGTH_MS, "v1")  # type: ignore[arg-type]
    return Watcher(windows, reference, DriftSettings(unknown=unknown), home, "v1")


def test_a_shift_of_one_store_becomes_an_alert_and_a_request(tmp_path: Path) -> None:
    live = Live(moves=FIRST + 5)
    watching, raised_at, metrics = watcher(live, tmp_path), None, DriftMetrics()
    for live.now in range(FIRST, FIRST + 30):
        shown = watching.catch_up()
        assert shown is not None
        metrics.show(shown, watching.book, LENGTH_MS, watching.request_path.exists())
        if watching.book.active and raised_at is None:
            raised_at = shown.window
    assert raised_at is not None
    assert FIRST + 5 + 4 <= raised_at <= FIRST + 5 + 6, "five windows, not one, and not many"
    assert {alert.store for alert in watching.book.active} <= {"moved", "*"}
    request = read_request(tmp_path)
    assert request is not None
    assert (request.store, request.figures["feature"]) == ("moved", "codes")
    exported = generate_latest(metrics.registry).decode()
    assert 'simpersona_drift_alert{about="codes",kind="model",store="moved"} 1.0' in exported
    assert "simpersona_drift_retrain_pending 1.0" in exported
    assert 'simpersona_drift_share{kind="unknown",store="quiet"}' in exported


def test_a_timer_sees_what_a_watch_sees(tmp_path: Path) -> None:
    """Called once an hour, in processes of its own, the book comes out the same."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "timer").mkdir()
    live = Live(moves=FIRST + 5)
    watching = watcher(live, tmp_path / "watch")
    for live.now in range(FIRST, FIRST + 25):
        watching.catch_up()
    for live.now in (FIRST, FIRST + 12, FIRST + 24):
        watcher(live, tmp_path / "timer").catch_up()
    books = [(tmp_path / name / BOOK).read_text() for name in ("watch", "timer")]
    assert books[0] == books[1]


def test_settled_windows_are_read_once(tmp_path: Path) -> None:
    live = Live(moves=FIRST + 1_000)
    watching = watcher(live, tmp_path)
    watching.catch_up()
    live.reads = 0
    live.now += 1
    watching.catch_up()
    assert live.reads <= 12  # the new one, and those that late events may still change


def test_the_report_of_a_store_names_no_other(tmp_path: Path) -> None:
    live = Live(moves=FIRST - 30)
    watching = watcher(live, tmp_path)
    shown = watching.catch_up()
    assert shown is not None
    report = to_dict(shown, watching.book, LENGTH_MS, "quiet")
    assert set(report["stores"]) == {"quiet"}
    assert {shift["store"] for shift in report["shifts"]} == {"quiet"}
    assert report["alerts"] == []
    assert json.dumps(report)
    assert len(tables(shown, watching.book, LENGTH_MS, None)) == 3


def heard(first: int, end: int, items: Items) -> dict[int, dict[str, Items]]:
    return {number: {"quiet": items} for number in range(first, end)}


def test_names_that_nobody_knows_are_an_alert_although_event_time_stands_still(tmp_path: Path) -> None:
    """The only shop of an installation renames every event: nothing reaches the topic from then on."""
    live = Live(moves=FIRST + 1_000)
    watching = watcher(live, tmp_path, unknown=0.25)
    watching.catch_up()
    for minute in range(1, 20):
        live.met = heard(FIRST + 1, FIRST + 1 + minute, Items(0, 100))
        watching.catch_up()
    about = [(alert.store, alert.name, alert.figures["share"]) for alert in watching.book.active]
    assert ("quiet", "unknown", 1.0) in about
    report = to_dict(watching.catch_up(), watching.book, LENGTH_MS, "quiet")
    assert report["stores"]["quiet"]["unknown"] == 1.0
    assert [alert["sentence"] for alert in report["alerts"]] == [
        "the collector does not understand many items"
    ]


def test_a_worker_that_is_behind_is_waited_for(tmp_path: Path) -> None:
    """Event time stands still because events wait: their windows are looked at when they are folded."""
    live = Live(moves=FIRST + 1_000)
    watching = watcher(live, tmp_path)
    live.met = heard(FIRST + 1, FIRST + 40, Items(100, 100))
    watching.catch_up()
    assert watching.book.evaluated == FIRST - 1
    live.met |= heard(FIRST + 40, FIRST + 60, Items(0, 100))
    watching.catch_up()
    assert watching.book.evaluated == FIRST - 1


def test_a_replay_of_last_year_is_looked_at_in_its_own_time(tmp_path: Path) -> None:
    live = Live(moves=FIRST + 1_000)
    watching = watcher(live, tmp_path)
    live.met = heard(FIRST + 100_000, FIRST + 100_020, Items(0, 100))
    watching.catch_up()
    assert watching.book.evaluated == FIRST - 1
