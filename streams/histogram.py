"""A histogram that takes a batch of observations at once: one numpy call instead of one lock an event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

SECONDS: Final[tuple[float, ...]] = tuple(round(0.0005 * 1.5**i, 6) for i in range(32))
"""0.5 ms to 144 s, each bound 1.5 times the last: quantiles are known to within a half."""


class BatchHistogram(Collector):
    """A Prometheus histogram with one bounded label; several label values share the buckets."""

    def __init__(
        self, name: str, help_text: str, label: str, values: tuple[str, ...], registry: CollectorRegistry
    ) -> None:
        self._name, self._help, self._label = name, help_text, label
        self._bounds = np.asarray(SECONDS)
        self._counts = {value: np.zeros(len(SECONDS) + 1, dtype=np.int64) for value in values}
        self._sums = dict.fromkeys(values, 0.0)
        registry.register(self)

    def observe(self, value: str, seconds: ArrayLike, weight: int = 1) -> None:
        """Count observations (seconds; negative ones count as 0), each `weight` times."""
        array: NDArray[np.float64] = np.maximum(np.atleast_1d(np.asarray(seconds, dtype=np.float64)), 0.0)
        buckets = np.searchsorted(self._bounds, array, side="left")
        self._counts[value] += weight * np.bincount(buckets, minlength=len(SECONDS) + 1)
        self._sums[value] += weight * float(array.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The family as prometheus-client scrapes it."""
        family = HistogramMetricFamily(self._name, self._help, labels=[self._label])
        for value, counts in self._counts.items():
            cumulated = np.cumsum(counts).tolist()
            bounds = [*(str(bound) for bound in SECONDS), "+Inf"]
            family.add_metric([value], list(zip(bounds, cumulated, strict=True)), self._sums[value])
        yield family
