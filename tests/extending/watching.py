"""Counts an hour in which every fourth clock is ahead, and prints all that drift makes of it, as JSON.

Run on a copy of the sources that has the signal `ahead` (docs/extending.md).
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client import generate_latest

from feature_store.contract.events import Event
from feature_store.logs import configure_logging
from feature_store.online.intake import Items
from inference.bundles.reference import SPANS_MS, Reference
from inference.counts.counting import WindowRule
from inference.counts.offline import OfflineCounts
from inference.counts.profile import Counts, empty_profile
from inference.counts.windows import StoreWindow
from inference.encoders.encoder import Encoding
from ops.dashboards.drift import History
from ops.drift.exporter import DriftMetrics
from ops.drift.look import Watcher
from ops.drift.report import tables, to_dict
from ops.drift.settings import DriftSettings
from ops.drift.windows import SlidingWindows

LENGTH_MS = 300_000
FIRST, WINDOWS = 1_763_900_000_000 // LENGTH_MS, 12
AHEAD_MS = 60_000


class Counted:
    """The windows, as a WindowReader and the counts of the door would give them."""

    def __init__(self) -> None:
        counter = OfflineCounts(WindowRule(LENGTH_MS, 1_800_000), encode)
        for window in range(FIRST, FIRST + WINDOWS):
            times = [window * LENGTH_MS + 1_000 * i for i in range(100)]
            events = [event(f"{window}-{i}", f"b{i}", at) for i, at in enumerate(times)]
            counter.add(events, created=[at - AHEAD_MS * (i % 4 == 0) for i, at in enumerate(times)])
        self.counts: dict[int, dict[StoreWindow, Counts]] = defaultdict(dict)
        for (_, store, window), counts in counter.drain().items():
            self.counts[window][StoreWindow("v1", store)] = counts

    def newest(self) -> int:
        return FIRST + WINDOWS

    def windows(self, first: int, end: int) -> dict[int, dict[StoreWindow, Counts]]:
        return {number: found for number, found in self.counts.items() if first <= number < end}

    def read(self, _numbers: object) -> dict[int, dict[str, Items]]:
        return {}

    def sliding(self) -> SlidingWindows:
        return SlidingWindows(self, self, LENGTH_MS, "v1")  # type: ignore[arg-type]


def event(name: str, buyer: str, at: int) -> Event:
    return Event(schema_version=1, event_id=name, store="acme", buyer=buyer, type="page_view", timestamp=at)


def encode(vectors: NDArray[np.float32]) -> Encoding:
    """Every buyer is of code 0 and of no type."""
    n = len(vectors)
    zeros, none = np.zeros(n, dtype=np.float32), np.full(n, -1, dtype=np.int64)
    unstated = np.full(n, np.nan, dtype=np.float32)
    return Encoding(np.zeros(n, dtype=np.int64), zeros, zeros, none, unstated, none, unstated)


configure_logging()  # to stderr
counted, settings, metrics = Counted(), DriftSettings(), DriftMetrics()
reference = Reference(empty_profile(), {}, {span: {} for span in SPANS_MS})
watcher = Watcher(counted.sliding(), reference, settings, Path("home"), "v1")
shown = watcher.catch_up()
assert shown is not None
metrics.show(shown, watcher.book, LENGTH_MS, retrain_pending=False)
report = to_dict(shown, watcher.book, LENGTH_MS, "acme")
print(
    json.dumps(
        {
            "limit": settings.limit("ahead"),
            "report": report["stores"]["acme"],
            "alerts": [[alert["about"], alert["sentence"]] for alert in report["alerts"]],
            "columns": [
                str(column.header) for column in tables(shown, watcher.book, LENGTH_MS, None)[0].columns
            ],
            "metrics": generate_latest(metrics.registry).decode(),
            "page": History(counted.sliding(), reference, settings).of("acme").shares,
        }
    )
)
