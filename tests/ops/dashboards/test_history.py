"""Drift's history for the page: what it shows of a shift, and that nothing is compared twice for nothing."""

from __future__ import annotations

import time

import numpy as np
import pytest

from inference.bundles.reference import SPANS_MS, Reference
from inference.counts.profile import FEATURE
from ops.dashboards.drift import History
from ops.drift import measures
from ops.drift.settings import DriftSettings
from ops.drift.windows import SlidingWindows
from tests.ops.drift.test_watcher import FIRST, LENGTH_MS, SHARES, Live, profile

SETTINGS = DriftSettings()


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows with every comparison of a span."""
    calls: list[object] = []
    real = measures.compare

    def counting(*arguments: object) -> object:
        calls.append(arguments)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("ops.dashboards.drift.compare", counting)
    return calls


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question is seconds after the one before."""
    ticks = iter(range(0, 1_000_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))


def history(live: Live) -> History:
    pooled = profile(np.random.default_rng(2), 100_000, SHARES)
    reference = Reference(pooled, {}, {span: {"codes": 1.3} for span in SPANS_MS})
    return History(SlidingWindows(live, live, LENGTH_MS, "v1"), reference, SETTINGS)  # type: ignore[arg-type]


def test_a_shift_shows_from_the_window_in_which_it_begins() -> None:
    live = Live(moves=FIRST + 5)
    live.now = FIRST + 20
    told = history(live).of("moved")
    psi = {point.until // LENGTH_MS - 1: point.psi["codes"] for point in told.history}
    assert list(psi) == list(range(FIRST + 20 - 70, FIRST + 20))
    assert max(psi[window] for window in range(FIRST - 40, FIRST + 5)) < SETTINGS.psi
    assert min(psi[window] for window in range(FIRST + 8, FIRST + 20)) > SETTINGS.psi
    assert [one.feature for one in told.features if one.moved] == ["codes"]
    quiet = history(live).of("quiet")
    assert not any(one.moved for one in quiet.features)


def test_a_store_of_whom_nothing_was_heard_has_no_history() -> None:
    live = Live(moves=FIRST + 5)
    told = history(live).of("elsewhere")
    assert (told.history, told.features) == ([], [])
    assert set(told.shares.values()) == {0.0}


def test_only_spans_that_changed_are_compared_again(compared: list[object]) -> None:
    live = Live(moves=FIRST + 5)
    shown = history(live)
    shown.of("moved")
    assert len(compared) == 70 + 1
    compared.clear()
    shown.of("moved")
    assert len(compared) == 1  # the last span, told in full
    live.now += 1
    compared.clear()
    shown.of("moved")
    assert len(compared) == 1 + 1


def test_a_late_event_shows(compared: list[object]) -> None:
    live = Live(moves=FIRST + 5)
    shown, late = history(live), FIRST - 2
    before = shown.of("moved")
    real = live.windows

    def with_late(first: int, end: int) -> object:
        found = real(first, end)
        for window, stores in found.items():
            if window == late:
                for counts in stores.values():
                    counts[FEATURE["codes"].cells][200] += 50
        return found

    live.windows = with_late  # type: ignore[assignment, method-assign]
    compared.clear()
    after = shown.of("moved")
    changed = [a.until // LENGTH_MS - 1 for a, b in zip(after.history, before.history, strict=True) if a != b]
    assert changed == [late, late + 1]  # a span is three windows, and the last complete one is FIRST - 1
    assert len(compared) == 2 + 1
