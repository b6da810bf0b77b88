"""What a look showed, for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from inference.bundles.reference import SPANS_MS
from ops.drift.alerts import ALL_STORES, AlertBook
from ops.drift.look import SPAN_NAMES, Look
from ops.drift.measures import Health, Shift
from ops.drift.signals import Signals


def to_dict(shown: Look | None, book: AlertBook, length_ms: int, store: str | None) -> dict[str, Any]:
    """The report as JSON; with `store`, of that store alone."""
    report: dict[str, Any] = {
        "codebook_version": book.version,
        "until": None,
        "stores": {},
        "shifts": [],
        "alerts": [
            {
                "store": alert.store,
                "about": alert.name,
                "kind": alert.kind,
                "since": _time(alert.since or 0, length_ms),
                "retrain_requested": alert.asked,
                "sentence": Signals.sentence(alert.name),
                "figures": alert.figures,
            }
            for alert in book.active
            if store in (None, alert.store)
        ],
    }
    if shown is not None:
        report["until"] = _time(shown.window + 1, length_ms)
        report["stores"] = {
            name or ALL_STORES: _figures(found)
            for name, found in shown.health.items()
            if store in (None, name)
        }
        report["shifts"] = [
            {**shift._asdict(), "store": shift.store or ALL_STORES, "span": SPAN_NAMES[span]}
            for span in SPANS_MS
            for shift in shown.shifts[span]
            if store in (None, shift.store)
        ]
    return report


def _figures(found: Health) -> dict[str, float]:
    """The figures of a store, the shares among them by their names."""
    figures = found._asdict()
    shares = figures.pop("shares")
    return figures | {name: share.value for name, share in shares.items()}


def _time(window: int, length_ms: int) -> str:
    return datetime.fromtimestamp(window * length_ms / 1000, tz=UTC).isoformat(timespec="seconds")


def tables(shown: Look, book: AlertBook, length_ms: int, store: str | None, rows: int = 12) -> list[Table]:
    """Health of the stores, the largest shifts, and the alerts."""
    stores = Table(
        title=f"Stores, 15 minutes until {_time(shown.window + 1, length_ms)}", title_justify="left"
    )
    signals = list(shown.health[None].shares)
    for heading in ("store", "buyers", "events", "perplexity", "dead codes", *signals):
        stores.add_column(heading, justify="left" if heading == "store" else "right")
    busiest = sorted(shown.health.items(), key=lambda item: -item[1].buyers)
    for name, h in busiest[:rows]:
        if store in (None, name):
            stores.add_row(
                name or ALL_STORES,
                f"{h.buyers:,}",
                f"{h.events:,}",
                f"{h.perplexity:.1f}",
                str(h.dead_codes),
                *(f"{share.value:.1%}" for share in h.shares.values()),
            )
    moved = Table(title="Largest shifts from the reference", title_justify="left")
    for heading in ("store", "feature", "span", "votes", "PSI", "of chance", "JS bits", "q"):
        moved.add_column(heading, justify="left" if heading in ("store", "feature", "span") else "right")
    for span, shift in _largest(shown, store)[:rows]:
        moved.add_row(
            shift.store or ALL_STORES,
            shift.feature,
            SPAN_NAMES[span],
            f"{shift.votes:,}",
            f"{shift.psi:.3f}",
            f"{shift.psi_chance:.3f}",
            f"{shift.js:.3f}",
            f"{shift.q:.2g}",
        )
    alerts = Table(title="Alerts" if book.active else "No alert", title_justify="left")
    for heading in ("store", "about", "since", "retrain asked", "figures"):
        alerts.add_column(heading)
    for alert in book.active:
        if store in (None, alert.store):
            figures = ", ".join(f"{name} {value:g}" for name, value in alert.figures.items())
            since = _time(alert.since or 0, length_ms)
            alerts.add_row(alert.store, alert.name, since, "yes" if alert.asked else "", figures)
    return [stores, moved, alerts]


def _largest(shown: Look, store: str | None) -> list[tuple[int, Shift]]:
    found = [(span, s) for span in SPANS_MS for s in shown.shifts[span] if store in (None, s.store)]
    return sorted(found, key=lambda item: -item[1].excess)
