"""One look at the live traffic: what every span shows, what is beyond its threshold, what lasts."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from inference.bundles.reference import SPANS_MS, Reference
from ops.drift.alerts import BOOK, Alert, AlertBook, Finding, request_retrain
from ops.drift.measures import Health, Shift, compare, health
from ops.drift.settings import DriftSettings
from ops.drift.windows import SlidingWindows
from ops.retraining.request import REQUEST

log = structlog.get_logger(__name__)

_CATCH_UP: Final = 72
"""At most so many past windows are looked at again after a pause: six hours."""
SPAN_NAMES: Final[dict[int, str]] = dict(zip(SPANS_MS, ("short", "long"), strict=True))


class Look(NamedTuple):
    """What the span that ends with a window shows: shifts by span (ms), health by store (None: all) over
    the short span, and what is beyond its threshold."""

    window: int
    shifts: dict[int, list[Shift]]
    health: dict[str | None, Health]
    findings: list[Finding]


def look(windows: SlidingWindows, reference: Reference, settings: DriftSettings, window: int) -> Look:
    """Compare the spans that end with a window (already read) with the reference."""
    live = {span: windows.live(window, span) for span in SPANS_MS}
    shifts = {span: compare(counts, reference, span, settings.least_votes) for span, counts in live.items()}
    signals = settings.signals()
    figures = {
        store: health(counts, reference.of(store), signals) for store, counts in live[SPANS_MS[0]].items()
    }
    findings = _moved(shifts, settings, windows.length_ms)
    for store, found in figures.items():
        findings += _unhealthy(store, found, settings, windows.length_ms)
    return Look(window, shifts, figures, findings)


def _moved(shifts: dict[int, list[Shift]], settings: DriftSettings, length_ms: int) -> list[Finding]:
    """Shifts that matter and are not chance."""
    return [
        Finding(
            shift.store,
            shift.feature,
            "model",
            _windows(span, length_ms),
            {
                "span_s": span / 1000,
                "votes": shift.votes,
                "psi": round(shift.psi, 4),
                "psi_chance": round(shift.psi_chance, 4),
                "js": round(shift.js, 4),
                "q": float(f"{shift.q:.3g}"),
            },
        )
        for span, of_span in shifts.items()
        for shift in of_span
        if shift.q <= settings.q and shift.excess >= settings.psi
    ]


def _windows(span_ms: int, length_ms: int) -> int:
    return max(1, span_ms // length_ms)


def _unhealthy(store: str | None, found: Health, settings: DriftSettings, length_ms: int) -> list[Finding]:
    """Signals beyond their limits, where enough was counted."""
    windows = _windows(SPANS_MS[0], length_ms)
    return [
        Finding(
            store,
            name,
            signal.kind,
            windows,
            {"share": round(share.value, 4), "of": share.whole, "events": found.events},
        )
        for name, signal in settings.signals().items()
        if (share := found.shares[name]).value > settings.limit(name) and share.whole >= settings.least_votes
    ]


class Watcher:
    """Looks at each window once, in order, and keeps the book and the retrain request in a folder."""

    def __init__(
        self, windows: SlidingWindows, reference: Reference, settings: DriftSettings, home: Path, version: str
    ) -> None:
        self._windows, self._reference, self._settings = windows, reference, settings
        self._home = home
        self._book_path, self.request_path = home / BOOK, home / REQUEST
        self.book = AlertBook.load(self._book_path, version)

    def catch_up(self) -> Look | None:
        """Look at every complete window since the last time; the last one's look, None where there is none.

        Raises:
            OnlineStoreError, ProfileError: something cannot be read.
        """
        newest = self._windows.newest_complete()
        if newest is None:
            return None
        first = newest - _CATCH_UP if self.book.evaluated is None else self.book.evaluated + 1
        shown = None
        for window in range(max(first, newest - _CATCH_UP), newest + 1):
            self._windows.read_up_to(window)
            shown = look(self._windows, self._reference, self._settings, window)
            self._take_in(shown)
        if shown is None:  # nothing new: show the last one again
            self._windows.read_up_to(newest)
            return look(self._windows, self._reference, self._settings, newest)
        self.book.save(self._book_path)
        return shown

    def _take_in(self, shown: Look) -> None:
        before = {(alert.store, alert.name, alert.windows) for alert in self.book.active}
        self.book.note(shown.window, shown.findings, self._settings)
        now = {(alert.store, alert.name, alert.windows): alert for alert in self.book.active}
        for key in now.keys() - before:
            log.warning("drift_alert", store=key[0], about=key[1], **now[key].figures)
        for store, name, _ in before - now.keys():
            log.info("drift_alert_over", store=store, about=name)
        lasting = self.book.wanting_retrain(self._settings)
        if lasting is not None:
            self._ask(lasting)

    def _ask(self, alert: Alert) -> None:
        at = datetime.fromtimestamp(time.time(), tz=UTC).isoformat(timespec="seconds")
        if request_retrain(self._home, alert, at, {"codebook_version": self.book.version}):
            log.warning("retrain_requested", store=alert.store, about=alert.name)
