"""Does drift see a shift, and does it keep quiet otherwise? Generated traffic, the live path's own counting.

    .venv/bin/python -m bench.drift [--quick] [--resume]

A history makes the reference; its buyers stay in the store, and traffic goes on. Either nothing changes for
a week (after one of history), window after window looked at: every alert is a false one. Or buyers of one
latent type become more frequent: the delay is event time from then to the first alert. The
time of day changes the traffic in both (TrafficConfig's diurnal curve). A whole run writes
bench/results/drift.json and the tables of docs/drift.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, cast

import click
import msgspec
import numpy as np

from bench.comparison.peers import ROOT
from feature_store.fold.behavior import ALLOWED_LATENESS_MS
from feature_store.online.intake import IntakeCounts, Items
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.bundles.reference import SPANS_MS
from inference.counts.counting import WindowRule
from inference.counts.offline import OfflineCounts
from inference.counts.profile import YOUNG, Counts, empty_profile
from inference.counts.windows import StoreWindow, WindowReader
from inference.encoders.onnx import OnnxEncoder
from ops.drift.alerts import AlertBook
from ops.drift.look import look
from ops.drift.settings import DriftSettings
from ops.drift.windows import SlidingWindows
from ops.traffic import TrafficConfig, generate
from training.publishing.reference import WINDOW_MS, ReferenceCounter

RESULTS: Final = ROOT / "bench" / "results" / "drift.json"
DOCUMENT: Final = ROOT / "docs" / "drift.md"
HISTORY_DAYS: Final = 7
_BEFORE_A_SHIFT: Final = 2
"""Days of history there: they are walked anew for every shift."""
_DAY: Final = 86_400_000 // WINDOW_MS
_VERSION: Final = "bench"
QUIET: Final = (
    # buyers per day, days, stores
    (10_000, 7, 4),
    (2_000, 7, 8),
)
SHIFTS: Final = (
    # type, share, hour of the day, buyers per day
    ("bargain_hunter", 0.5, 12.0, 40_000),
    ("decisive_buyer", 0.5, 12.0, 40_000),
    ("bargain_hunter", 0.3, 12.0, 40_000),
    ("bargain_hunter", 0.5, 12.0, 10_000),
    ("decisive_buyer", 0.5, 12.0, 2_000),
)
_ENCODER: Final = OnnxEncoder(load_bundle(starter_bundle_path()))


class Counted:
    """Windows in memory, as the online store would give them."""

    def __init__(self, config: TrafficConfig, seed: int) -> None:
        self.by_window: dict[int, dict[StoreWindow, Counts]] = {}
        self.events = 0
        recount = OfflineCounts(WindowRule(WINDOW_MS, ALLOWED_LATENESS_MS), _ENCODER.encode)
        for batch in generate(config, seed):
            recount.add(batch)
            self.events += len(batch)
            if len(recount) > 20_000:
                self._take(recount)
        self._take(recount)

    def _take(self, recount: OfflineCounts) -> None:
        for (_, store, window), counts in recount.drain().items():
            merged = self.by_window.setdefault(window, {})
            whose = StoreWindow(_VERSION, store)
            merged[whose] = merged.get(whose, empty_profile()) + counts

    def windows(self, first: int, end: int) -> dict[int, dict[StoreWindow, Counts]]:
        """As WindowReader.windows."""
        return {n: self.by_window[n] for n in range(first, end) if n in self.by_window}

    def read(self, _numbers: object) -> dict[int, dict[str, Items]]:
        """As IntakeCounts.read: no collector here."""
        return {}


def follow(
    config: TrafficConfig, seed: int, first_day: int, end_day: float
) -> Iterator[tuple[int, AlertBook]]:
    """The alert book after each window of these days, and first the number of windows since the start."""
    counted = Counted(config, seed)
    start = config.start_ms // WINDOW_MS
    history = ReferenceCounter(_ENCODER.encode)
    for window, stores in counted.windows(start, start + first_day * _DAY).items():
        history.add_windows({(0, whose.store, window): counts for whose, counts in stores.items()})
    reference, settings, book = history.reference(), DriftSettings(), AlertBook(version=_VERSION)
    # Counted reads as both do, from generated traffic.
    sliding = SlidingWindows(cast(WindowReader, counted), cast(IntakeCounts, counted), WINDOW_MS, _VERSION)
    for window in range(start + first_day * _DAY, start + round(end_day * _DAY)):
        sliding.read_up_to(window)
        book.note(window, look(sliding, reference, settings, window).findings, settings)
        yield window - start, book


def quiet(buyers_a_day: int, days: int, stores: int, seed: int) -> dict[str, Any]:
    """Count what is raised while nothing changes."""
    total = HISTORY_DAYS + days
    config = TrafficConfig(buyers=buyers_a_day * total, hours=24.0 * total, stores=stores)
    looks, odd, raised = 0, 0, []
    for at, book in follow(config, seed, HISTORY_DAYS, total):
        looks += 1
        odd += any(alert.over for alert in book.alerts)
        raised += [
            f"{a.store}: {a.name}" for a in book.active if a.since == at + config.start_ms // WINDOW_MS
        ]
    return {
        "buyers_a_day": buyers_a_day,
        "stores": stores,
        "seed": seed,
        "windows": looks,
        "windows_x_stores": looks * (stores + 1),
        "windows_with_a_finding": odd,
        "false_alarms": len(raised),
        "which": raised,
    }


def first_hour(buyers_a_day: int, stores: int, seed: int) -> list[dict[str, Any]]:
    """What a new installation's first hour shows, in which every buyer is new, against another history.

    Once as live traffic is compared, once against a reference that counted no ages. Nothing has shifted: the
    shops are the same, the buyers are others.
    """
    known = Counted(TrafficConfig(buyers=3 * buyers_a_day, hours=72.0, stores=stores), seed)
    history = ReferenceCounter(_ENCODER.encode)
    for window, by_store in known.by_window.items():
        history.add_windows({(0, whose.store, window): counts for whose, counts in by_store.items()})
    config = TrafficConfig(buyers=buyers_a_day, hours=24.0, stores=stores)
    fresh, start, settings = Counted(config, seed + 1), config.start_ms // WINDOW_MS, DriftSettings()
    whole = history.reference()
    ageless = whole._replace(
        pooled=_without_ages(whole.pooled), stores={s: _without_ages(c) for s, c in whole.stores.items()}
    )
    rows = []
    for name, reference in (("of its age", whole), ("whole histories", ageless)):
        sliding = SlidingWindows(cast(WindowReader, fresh), cast(IntakeCounts, fresh), WINDOW_MS, _VERSION)
        last = start + 3_600_000 // WINDOW_MS - 1
        sliding.read_up_to(last)
        shown = look(sliding, reference, settings, last)
        shifts = shown.shifts[SPANS_MS[0]]
        moved = [f for f in shown.findings if f.kind == "model" and f.windows < 10]
        rows.append(
            {
                "compared_with": name,
                "features_x_stores": len(shifts),
                "moved": len(moved),
                "largest_psi": round(max(shift.excess for shift in shifts), 2),
                "which": sorted({finding.name for finding in moved}),
            }
        )
    return rows


def _without_ages(counts: Counts) -> Counts:
    return np.concatenate([counts[:YOUNG], np.zeros_like(counts[YOUNG:])])


def shifted(kind: str, share: float, hour: float, buyers_a_day: int, seed: int) -> dict[str, Any]:
    """Minutes from a shift, at an hour of the third day, to the first alert and to the request."""
    total = _BEFORE_A_SHIFT + 1
    begins = 24.0 * _BEFORE_A_SHIFT + hour
    config = TrafficConfig(
        buyers=buyers_a_day * total,
        hours=24.0 * total,
        favour=kind,
        favour_share=share,
        favour_after_hours=begins,
    )
    since = round(begins * 3_600_000 / WINDOW_MS)
    settings, alarm, asked, early = DriftSettings(), None, None, 0
    about: list[str] = []
    for at, book in follow(config, seed, _BEFORE_A_SHIFT, begins / 24 + 8 / 24):
        new = [a for a in book.active if a.since == at + config.start_ms // WINDOW_MS]
        if at < since:
            early += len(new)
            continue
        if new and alarm is None:
            alarm, about = at, [f"{a.store}: {a.name}" for a in new]
        if alarm is not None and book.wanting_retrain(settings) is not None:
            asked = at
            break
    minutes = WINDOW_MS / 60_000
    return {
        "favour": kind,
        "share": share,
        "at_hour": hour,
        "buyers_a_day": buyers_a_day,
        "seed": seed,
        "alert_after_min": None if alarm is None else (alarm + 1 - since) * minutes,
        "retrain_asked_after_min": None if asked is None else (asked + 1 - since) * minutes,
        "first_alerts": about,
        "alerts_before_the_shift": early,
    }


def to_markdown(result: dict[str, Any]) -> str:
    """The tables of docs/drift.md."""
    lines = ["| buyers per day | stores | windows | windows x stores | with a finding | false alarms |"]
    lines.append("|---:|---:|---:|---:|---:|---:|")
    for r in result["quiet"]:
        lines.append(
            f"| {r['buyers_a_day']:,} | {r['stores']} | {r['windows']:,} | {r['windows_x_stores']:,} "
            f"| {r['windows_with_a_finding']} | {r['false_alarms']} |"
        )
    lines += [
        "",
        "| favoured type | share | at hour | buyers per day | alert after min | retrain asked after min |",
    ]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for r in result["shifted"]:
        lines.append(
            f"| {r['favour']} | {r['share']:.0%} | {r['at_hour']:g} | {r['buyers_a_day']:,} "
            f"| {_minutes(r['alert_after_min'])} | {_minutes(r['retrain_asked_after_min'])} |"
        )
    lines += ["", f"`{result['command']}`, {result['date']}, seed {result['seed']}."]
    return "\n".join(lines)


def _minutes(value: float | None) -> str:
    return "not within 8 h" if value is None else f"{value:g}"


def _write(result: dict[str, Any]) -> None:
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    before, mark, rest = DOCUMENT.read_text().partition("<!-- figures -->\n")
    _, end, after = rest.partition("<!-- figures: end -->")
    DOCUMENT.write_text(before + mark + to_markdown(result) + "\n" + end + after)


@click.command()
@click.option("--quick", is_flag=True, help="A day and one shift, of fewer buyers; writes nothing.")
@click.option("--resume", is_flag=True, help="Keep the results that are there; make those that lack.")
@click.option("--seed", default=11, show_default=True, help="Seed of the generated traffic.")
def main(quick: bool, resume: bool, seed: int) -> None:
    """Count false alarms in a quiet week, and time what is seen of a shift.

    A whole run takes a quarter of an hour; results are written as they come.
    """
    if quick:
        found = {"quiet": [quiet(4_000, 1, 4, seed)], "shifted": [shifted(*SHIFTS[3], seed)]}
        click.echo(to_markdown(_about(seed) | found))
        return
    result = _about(seed) | {"quiet": [], "shifted": []}
    if resume and RESULTS.exists():
        kept = msgspec.json.decode(RESULTS.read_bytes())
        if any(kept[name] != result[name] for name in ("settings", "seed")):
            raise click.ClickException("the results that are there are of other settings or another seed")
        result |= {name: kept[name] for name in ("quiet", "shifted")}
    asked = {
        "quiet": [partial(quiet, *one, seed + number) for number, one in enumerate(QUIET)],
        "shifted": [partial(shifted, *one, seed + 2) for one in SHIFTS],
    }
    for part, runs in asked.items():
        for run in runs[len(result[part]) :]:
            result[part].append(run())
            _write(result)
    click.echo(to_markdown(result))


def _about(seed: int) -> dict[str, Any]:
    return {
        "command": "python -m bench.drift",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seed": seed,
        "codebook_version": _ENCODER.codebook_version,
        "spans_s": [span / 1000 for span in SPANS_MS],
        "settings": DriftSettings().model_dump(),
    }


if __name__ == "__main__":
    main()
