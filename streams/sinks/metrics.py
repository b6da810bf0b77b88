"""Metrics of a sink: simpersona_<sink>_..."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

ANSWERS: Final = ("taken", "refused", "busy")


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what was read. skipped: of other stores, or said before their buyer was erased.

    erasures: erased buyers that the receiver was told of.
    """

    assignments: int
    requests: int
    failed_requests: int
    dead_letters: int
    skipped: int
    erasures: int


class SinkMetrics:
    """Everything a sink reports; one registry per sink."""

    def __init__(self, sink: str) -> None:
        """sink: its name, as registered."""
        self._prefix = f"simpersona_{sink}"
        self.registry = r = CollectorRegistry()
        self.assignments = Counter(f"{self._prefix}_assignments", "Assignments that were taken.", registry=r)
        self.requests = Counter(
            f"{self._prefix}_requests", "Requests, by what the answer means.", ["answer"], registry=r
        )
        self.dead_letters = Counter(
            f"{self._prefix}_dead_letters", "Assignments and erasures refused for good.", registry=r
        )
        self.skipped = Counter(
            f"{self._prefix}_skipped", "Assignments of other stores or erased buyers.", registry=r
        )
        self.erasures = Counter(
            f"{self._prefix}_erasures", "Erased buyers that the receiver was told of.", registry=r
        )
        self.untold = Counter(
            f"{self._prefix}_untold_erasures", "Erased buyers that this sink cannot tell of.", registry=r
        )
        self.delay = Gauge(
            f"{self._prefix}_delay_seconds",
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
            erasures=self._count("erasures"),
        )

    def _count(self, name: str, labels: Mapping[str, str] | None = None) -> int:
        return int(self.registry.get_sample_value(f"{self._prefix}_{name}_total", dict(labels or {})) or 0)
