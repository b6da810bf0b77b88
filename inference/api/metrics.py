"""Metrics of an API process. Few labels, every label value known beforehand."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

STREAM_ENDS: Final = ("client", "slow", "revoked", "shutdown")
_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class ApiMetrics:
    """Everything an API process reports; one registry a process."""

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
            registry=r,
        )
        self.personas = Counter(
            "simpersona_api_personas",
            "Personas asked for: said, early (the store's prior), unknown, erased or expired.",
            ["answer"],
            registry=r,
        )
        self.streams = Gauge("simpersona_api_streams", "Open streams.", registry=r)
        self.stream_ends = Counter(
            "simpersona_api_stream_ends", "Streams that ended, by reason.", ["reason"], registry=r
        )
        self.streamed = Counter(
            "simpersona_api_streamed_assignments", "Assignments sent on streams.", registry=r
        )
        for reason in STREAM_ENDS:
            self.stream_ends.labels(reason)
        for answer in ("said", "early", "unknown", "erased", "expired"):
            self.personas.labels(answer)
