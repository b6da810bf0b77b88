"""Drift for Prometheus. Labels are bounded: the largest stores and the features of the layout."""

from __future__ import annotations

from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from inference.bundles.reference import SPANS_MS
from ops.drift.alerts import ALL_STORES, AlertBook
from ops.drift.look import SPAN_NAMES, Look
from ops.errors import DriftError

log = structlog.get_logger(__name__)

MOST_STORES: Final = 20
"""Stores with series of their own, the busiest of the look; `*` is all together."""


class DriftMetrics:
    """What the last look showed; one registry, filled anew with every look."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        by_feature = ["store", "feature", "span"]
        self.psi = Gauge(
            "simpersona_drift_psi",
            "PSI beyond what chance gives, live against reference.",
            by_feature,
            registry=r,
        )
        self.js = Gauge("simpersona_drift_js_bits", "Jensen-Shannon divergence.", by_feature, registry=r)
        self.q = Gauge("simpersona_drift_q", "False discovery rate of the shift.", by_feature, registry=r)
        self.alert = Gauge(
            "simpersona_drift_alert", "1 for an alert that is raised.", ["store", "about", "kind"], registry=r
        )
        self.buyers = Gauge(
            "simpersona_drift_votes", "Buyers' votes in the short span.", ["store"], registry=r
        )
        self.perplexity = Gauge(
            "simpersona_drift_perplexity", "How many codes the votes are like.", ["store"], registry=r
        )
        self.dead_codes = Gauge(
            "simpersona_drift_dead_codes",
            "Codes with 1 % of the reference or more that have no vote.",
            ["store"],
            registry=r,
        )
        self.share = Gauge(
            "simpersona_drift_share",
            "Share of what arrived that is of a kind.",
            ["store", "kind"],
            registry=r,
        )
        self.window = Gauge(
            "simpersona_drift_window_timestamp_seconds", "End of the last window looked at.", registry=r
        )
        self.retrain = Gauge(
            "simpersona_drift_retrain_pending", "1 while a retrain request waits.", registry=r
        )

    def show(self, shown: Look, book: AlertBook, length_ms: int, retrain_pending: bool) -> None:
        """Fill every series from a look."""
        for gauge in (self.psi, self.js, self.q, self.alert, self.buyers, self.perplexity):
            gauge.clear()
        self.dead_codes.clear()
        self.share.clear()
        busiest = sorted(shown.health, key=lambda store: -shown.health[store].buyers)[: MOST_STORES + 1]
        for store in busiest:
            name, found = store or ALL_STORES, shown.health[store]
            self.buyers.labels(name).set(found.buyers)
            self.perplexity.labels(name).set(found.perplexity)
            self.dead_codes.labels(name).set(found.dead_codes)
            for signal, share in found.shares.items():
                self.share.labels(name, signal).set(share.value)
        for span in SPANS_MS:
            for shift in shown.shifts[span]:
                if shift.store in busiest:
                    labels = (shift.store or ALL_STORES, shift.feature, SPAN_NAMES[span])
                    self.psi.labels(*labels).set(max(0.0, shift.excess))
                    self.js.labels(*labels).set(shift.js)
                    self.q.labels(*labels).set(shift.q)
        for alert in book.active:
            if (None if alert.store == ALL_STORES else alert.store) in busiest:
                self.alert.labels(alert.store, alert.name, alert.kind).set(1)
        self.window.set((shown.window + 1) * length_ms / 1000)
        self.retrain.set(retrain_pending)


def serve(metrics: DriftMetrics, host: str, port: int) -> None:
    """Serve /metrics in a thread of its own.

    Raises:
        DriftError: the port is taken.
    """
    try:
        server, _ = start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        raise DriftError(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    log.info("metrics_served", port=server.server_port)
