"""Metrics over the lives of a worker."""

from __future__ import annotations

import numpy as np
from prometheus_client import generate_latest

from ops.demo.scrapes import Scrapes
from streams.metrics import WorkerMetrics

LATENCY = ("simpersona_stage_seconds", ("stage", "event_to_tag"))


def scrape(metrics: WorkerMetrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_counters_of_dead_incarnations_are_added_up_and_gauges_are_not() -> None:
    scrapes = Scrapes()
    for events in (100, 7):
        metrics = WorkerMetrics()
        metrics.events.inc(events)
        metrics.dead_letters.labels("not_json").inc(2)
        for partition in range(8):
            metrics.lag.labels(str(partition)).set(events)
        scrapes.add(scrape(metrics))
        scrapes.add(scrape(metrics))  # a second scrape of the same life counts nothing twice
        assert scrapes.gauge("simpersona_consumer_lag_events") == 8 * events
        assert scrapes.series("simpersona_consumer_lag_events") == 8
        scrapes.died()
        assert scrapes.gauge("simpersona_consumer_lag_events") is None
    assert scrapes.total("simpersona_events_total") == 107
    assert scrapes.total("simpersona_dead_letters_total") == 4
    assert not scrapes.alive


def test_a_quantile_is_over_all_lives() -> None:
    scrapes = Scrapes()
    assert scrapes.quantile(*LATENCY, 0.5) is None
    for seconds, count in ((0.010, 300), (1.0, 100)):
        metrics = WorkerMetrics()
        metrics.stages.observe("event_to_tag", np.full(count, seconds))
        metrics.stages.observe("decoded_to_folded", np.full(count, 50.0))
        scrapes.add(scrape(metrics))
        scrapes.died()
    half, most = scrapes.quantile(*LATENCY, 0.5), scrapes.quantile(*LATENCY, 0.99)
    assert half is not None
    assert most is not None
    assert 0.010 / 1.5 <= half <= 0.010 * 1.5
    assert 1.0 / 1.5 <= most <= 1.0 * 1.5
