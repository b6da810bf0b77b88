"""Calibration for Prometheus. Labels are bounded: the stores with the most ended sessions."""

from __future__ import annotations

import time
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from ops.errors import CalibrationError

log = structlog.get_logger(__name__)

MOST_STORES: Final = 20
_KINDS: Final = ("confidence", "forecast")


class CalibrationMetrics:
    """What the last look found; one registry, filled anew with every look."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        of = ["store", "of"]
        self.sessions = Gauge(
            "simpersona_calibration_sessions", "Ended sessions graded.", ["store"], registry=r
        )
        self.brier = Gauge("simpersona_calibration_brier", "Brier score of what was stated.", of, registry=r)
        self.log_loss = Gauge(
            "simpersona_calibration_log_loss", "Log loss of what was stated, in nats.", of, registry=r
        )
        self.rule_loss = Gauge(
            "simpersona_calibration_rule_log_loss",
            "Log loss of a rule on whether the type stays; beside `confidence`.",
            ["store", "rule"],
            registry=r,
        )
        self.error = Gauge(
            "simpersona_calibration_error",
            "ECE of what was stated, less what chance gives.",
            of,
            registry=r,
        )
        self.kappa = Gauge(
            "simpersona_calibration_kappa", "Kappa of the forecast type.", ["store"], registry=r
        )
        self.holds = Gauge(
            "simpersona_calibration_holds", "1 while a calibration of the store holds.", ["store"], registry=r
        )
        self.evidence = Gauge(
            "simpersona_calibration_evidence",
            "Most evidence against what is stated: 1,000 is the alarm.",
            of,
            registry=r,
        )
        self.alarm = Gauge(
            "simpersona_calibration_alarm", "1 where the evidence reached the alarm.", of, registry=r
        )
        self.looked = Gauge(
            "simpersona_calibration_look_timestamp_seconds", "Time of the last look.", registry=r
        )

    def show(self, found: dict[str, Any]) -> None:
        """Fill every series from a report."""
        gauges = (self.sessions, self.brier, self.log_loss, self.rule_loss, self.error, self.kappa)
        for gauge in (*gauges, self.holds, self.evidence, self.alarm):
            gauge.clear()
        largest = sorted(found["stores"].items(), key=lambda pair: -pair[1]["sessions"])[:MOST_STORES]
        for store, shop in largest:
            self.sessions.labels(store).set(shop["sessions"])
            self.holds.labels(store).set(bool(shop["holds"]))
            for rule, loss in shop["rules"].items():
                _set(self.rule_loss, loss, store, rule)
            _set(self.kappa, shop["forecast"]["kappa"], store)
            for kind in _KINDS:
                it = shop[kind]
                _set(self.brier, it["stated"]["brier"], store, kind)
                _set(self.log_loss, it["stated"]["log_loss"], store, kind)
                _set(self.error, it["stated"]["error"] and it["stated"]["error"][0], store, kind)
                self.evidence.labels(store, kind).set(it["evidence"])
                self.alarm.labels(store, kind).set(it["alarm"])
        self.looked.set(time.time())

    def serve(self, host: str, port: int) -> None:
        """Serve /metrics in a thread of its own.

        Raises:
            CalibrationError: the port is taken.
        """
        try:
            server, _ = start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise CalibrationError(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
        log.info("metrics_served", port=server.server_port)


def _set(gauge: Gauge, value: float | None, *labels: str) -> None:
    if value is not None:
        gauge.labels(*labels).set(value)
