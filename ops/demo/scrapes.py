"""A worker's metrics from its scrapes, summed over its restarts."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from ops.dashboards.quantile import histogram_quantile

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]
_CUMULATED: Final = ("counter", "histogram")


class Scrapes:
    """Counters and histograms of dead incarnations are added up; gauges are those of the living one.

    What a worker counted between its last scrape and its death is not known.
    """

    def __init__(self) -> None:
        self.alive = False
        self._past: dict[Key, float] = defaultdict(float)
        self._now: dict[Key, float] = {}
        self._gauges: dict[Key, float] = {}

    def add(self, text: str) -> None:
        """Take a scrape in Prometheus' text format."""
        self._now, self._gauges, self.alive = {}, {}, True
        for family in text_string_to_metric_families(text):
            kept = self._now if family.type in _CUMULATED else self._gauges
            for sample in family.samples:
                kept[sample.name, tuple(sorted(sample.labels.items()))] = sample.value

    def died(self) -> None:
        """The worker that was scraped is dead."""
        for key, value in self._now.items():
            self._past[key] += value
        self._now, self._gauges, self.alive = {}, {}, False

    def total(self, name: str) -> float:
        """A counter's sum over labels and incarnations."""
        return sum(
            value
            for counts in (self._past, self._now)
            for (found, _), value in counts.items()
            if found == name
        )

    def gauge(self, name: str) -> float | None:
        """A gauge's sum over labels; None while no worker reports it."""
        values = [value for (found, _), value in self._gauges.items() if found == name]
        return sum(values) if values else None

    def series(self, name: str) -> int:
        """How many label values a gauge has."""
        return sum(found == name for found, _ in self._gauges)

    def quantile(self, name: str, label: tuple[str, str], q: float) -> float | None:
        """A histogram's quantile, linear inside its bucket as PromQL's histogram_quantile; None if empty."""
        counts: dict[float, float] = defaultdict(float)
        for found in (self._past, self._now):
            for (sample, labels), value in found.items():
                if sample == f"{name}_bucket" and label in labels:
                    counts[float(dict(labels)["le"])] += value
        return histogram_quantile(q, sorted(counts.items()))
