"""Metrics of a webhook sink."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

ANSWERS: Final = ("taken", "refused", "busy")


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what was read. skipped: of other stores, or said before their buyer was erased."""

    assignments: int
    requests: int
    failed_requests: int
    dead_letters: int
    skipped: int


class WebhookMetrics:
    """Everything a sink reports; one registry a sink."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.assignments = Counter(
            "simpersona_webhook_assignments", "Assignments that the URL took.", registry=r
        )
        self.requests = Counter(
            "simpersona_webhook_requests", "Requests, by what the answer means.", ["answer"], registry=r
        )
        self.dead_letters = Counter(
            "simpersona_webhook_dead_letters", "Assignments put aside, refused for good.", registry=r
        )
        self.skipped = Counter(
            "simpersona_webhook_skipped", "Assignments of other stores or erased buyers.", registry=r
        )
        self.delay = Gauge(
            "simpersona_webhook_delay_seconds",
            "From being said to being taken, of the assignment taken last.",
            registry=r,
        )
        for answer in ANSWERS:
            self.requests.labels(answer)

    def delivered(self) -> Delivered:
        """The counts so far."""
        taken, refused, busy = (self._count("requests", {"answer": answer}) for answer in ANSWERS)
        return Delivered(
            assignments=self._count("assignments"),
            requests=taken + refused + busy,
            failed_requests=refused + busy,
            dead_letters=self._count("dead_letters"),
            skipped=self._count("skipped"),
        )

    def _count(self, name: str, labels: Mapping[str, str] | None = None) -> int:
        return int(
            self.registry.get_sample_value(f"simpersona_webhook_{name}_total", dict(labels or {})) or 0
        )
