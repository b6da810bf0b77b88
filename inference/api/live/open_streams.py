"""How many streams are open, in all and of each store."""

from __future__ import annotations

from collections import Counter

from inference.api.metrics import ApiMetrics
from inference.api.settings import ApiSettings


class OpenStreams:
    """Counts open streams against the settings' bounds."""

    def __init__(self, settings: ApiSettings, metrics: ApiMetrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._by_store: Counter[str] = Counter()

    def full(self, store: str) -> bool:
        """Whether one more would be too many."""
        return (
            self._by_store.total() >= self._settings.streams
            or self._by_store[store] >= self._settings.streams_per_store
        )

    def opened(self, store: str) -> None:
        """One more."""
        self._by_store[store] += 1
        self._metrics.streams.inc()

    def closed(self, store: str, reason: str) -> None:
        """One less; reason is of inference.api.metrics.STREAM_ENDS."""
        self._by_store[store] -= 1
        self._metrics.streams.dec()
        self._metrics.stream_ends.labels(reason).inc()
