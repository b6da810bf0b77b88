"""Metrics of an API process. Few labels, every label value known beforehand."""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that makes prometheus-client keep values in files there, which add up over processes. It
counts when the library is first imported."""

STREAM_ENDS: Final = ("client", "slow", "revoked", "shutdown")
ANSWERS: Final = ("said", "early", "unknown", "erased", "expired")
_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class ApiMetrics:
    """Everything an API process reports, or several that keep their values in one folder."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.requests = Counter(
            "simpersona_api_requests",
            "Requests answered, by route (its template) and status.",
            ["route", "status"],
            registry=r,
        )
        self.seconds = Histogram(
            "simpersona_api_request_seconds",
            "Time until an answer began, by route; of a stream, until it opened.",
            ["route"],
            buckets=_SECONDS,
            registry=r,
        )
        self.items = Counter(
            "simpersona_api_items",
            "Items sent to the collector, by format and what became of them.",
            ["source", "outcome"],
            registry=r,
        )
        self.fields = Counter(
            "simpersona_api_fields",
            "Values sent to the collector and not taken as sent, by format, what was done, field and reason.",
            ["source", "outcome", "field", "reason"],
            registry=r,
        )
        self.ack_seconds = Histogram(
            "simpersona_api_ack_seconds",
            "From handing a request's events to the producer to Kafka's acknowledgement of the last.",
            buckets=_SECONDS,
            registry=r,
        )
        self.waiting = Gauge(
            "simpersona_api_unacknowledged_events",
            "Events that wait for Kafka's acknowledgement.",
            multiprocess_mode="livesum",
            registry=r,
        )
        self.personas = Counter(
            "simpersona_api_personas",
            "Personas asked for: said, early (the store's prior), unknown, erased or expired.",
            ["answer"],
            registry=r,
        )
        self.streams = Gauge(
            "simpersona_api_streams", "Open streams.", multiprocess_mode="livesum", registry=r
        )
        self.stream_ends = Counter(
            "simpersona_api_stream_ends", "Streams that ended, by reason.", ["reason"], registry=r
        )
        self.streamed = Counter(
            "simpersona_api_streamed_assignments", "Assignments sent on streams.", registry=r
        )
        for reason in STREAM_ENDS:
            self.stream_ends.labels(reason)
        self.personas_of = {answer: self.personas.labels(answer) for answer in ANSWERS}
        self.waiting.set(0)
        self._of: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One more answer. Its counters are looked up once: that would cost as much as the rest of it."""
        found = self._of.get((route, status))
        if found is None:
            found = self.requests.labels(route, str(status)), self.seconds.labels(route)
            self._of[route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format: of this process, or of all that keep their values with it.
        It blocks for some milliseconds."""
        if METRICS_FOLDER not in os.environ:
            return generate_latest(self.registry)
        summed = CollectorRegistry()
        MultiProcessCollector(summed)  # type: ignore[no-untyped-call]
        return generate_latest(summed)
