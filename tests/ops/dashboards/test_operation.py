"""Figures of the installation out of scrapes: restarts, absences, bounds."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest, start_http_server

from feature_store.errors import SettingError
from ops.dashboards.operation import Readings
from ops.dashboards.settings import DashboardSettings
from ops.dashboards.workers import Counted, Scrape, read_scrape, scrape_all
from ops.stack.processes import free_ports
from streams.metrics import WorkerMetrics

HERE, THERE = "http://10.0.0.1:9400/metrics", "http://10.0.0.2:9400/metrics"
SETTINGS = DashboardSettings(workers=("http://worker:9400/metrics",), every_s=5.0)


def scrape(
    events: float, *, refused: float = 0, slow: float = 0, lag: int = 0, version: str = "v1"
) -> Scrape:
    """A worker that tagged `events`, `slow` of them between 10 and 100 ms and the rest within 10 ms."""
    tagged = {0.01: events - slow, 0.1: events, math.inf: events}
    counted = Counted(events, {"invalid_field": refused, "empty": 0.0}, tagged)
    return Scrape(counted, lag, partitions=4, codebooks=(version,), degraded=False, waiting=False)


@pytest.fixture
def readings() -> Readings:
    return Readings(SETTINGS)


def test_a_rate_needs_two_readings(readings: Readings) -> None:
    readings.add({HERE: scrape(1_000)}, at=100.0)
    first = readings.summary()
    assert (first.events_per_s, first.p50_ms, first.history) == (0.0, None, [])
    readings.add({HERE: scrape(1_100, slow=10)}, at=105.0)
    second = readings.summary()
    assert second.events_per_s == 20
    assert second.p50_ms is not None
    assert second.p99_ms is not None
    assert 0 < second.p50_ms < 10 < second.p99_ms < 100
    assert len(second.history) == 1


def test_workers_add_up_and_a_newcomer_brings_no_past(readings: Readings) -> None:
    readings.add({HERE: scrape(100)}, at=0.0)
    readings.add({HERE: scrape(150, lag=3), THERE: scrape(9_000, lag=4)}, at=5.0)
    told = readings.summary()
    assert (told.events_per_s, told.lag, told.partitions, told.workers) == (10, 7, 8, 2)
    readings.add({HERE: scrape(200), THERE: scrape(9_050, version="v2")}, at=10.0)
    told = readings.summary()
    assert told.history[-1].events_per_s == 20
    assert told.codebook_versions == {"v1": 1, "v2": 1}


def test_a_restarted_worker_counts_from_nothing(readings: Readings) -> None:
    readings.add({HERE: scrape(1_000, refused=7)}, at=0.0)
    readings.add({HERE: None}, at=5.0)
    away = readings.summary()
    assert (away.workers, away.answering, away.lag, away.dead_letters) == (1, 0, None, {})
    readings.add({HERE: scrape(50, refused=2)}, at=10.0)
    back = readings.summary()
    assert back.history[-1].events_per_s == 10
    assert back.history[-1].refused_per_s == 0.4
    assert back.dead_letters == {"invalid_field": 2}


def test_a_worker_that_was_away_for_a_moment_goes_on_from_where_it_was(readings: Readings) -> None:
    readings.add({HERE: scrape(1_000)}, at=0.0)
    readings.add({HERE: None}, at=5.0)
    readings.add({HERE: scrape(1_030)}, at=10.0)
    assert readings.summary().history[-1].events_per_s == 6


def test_the_history_is_bounded_and_the_last_minute_forgets(readings: Readings) -> None:
    for turn in range(1_000):
        readings.add({HERE: scrape(10.0 * min(turn, 900))}, at=5.0 * turn)
    told = readings.summary()
    assert len(told.history) == 360
    assert (told.events_per_s, told.p50_ms) == (0.0, None)


def test_a_workers_own_metrics_are_read() -> None:
    metrics = WorkerMetrics()
    metrics.events.inc(12)
    metrics.dead_letters.labels("empty").inc(2)
    metrics.lag.labels("0").set(3)
    metrics.lag.labels("1").set(4)
    metrics.owned.set(2)
    metrics.codebook.labels("v1").set(0)
    metrics.codebook.labels("v2").set(1)
    metrics.waiting.set(1)
    read = read_scrape(generate_latest(metrics.registry).decode())
    assert (read.counted.events, read.counted.refused["empty"], read.lag) == (12, 2, 7)
    assert (read.partitions, read.codebooks, read.waiting, read.degraded) == (2, ("v2",), True, False)
    assert math.inf in read.counted.tagged


def test_who_does_not_answer_is_there_all_the_same() -> None:
    url = "http://127.0.0.1:1/metrics"
    assert scrape_all([url]) == {url: None}
    assert scrape_all(["http://no-such-host.invalid:9400/metrics"]) == {
        "http://no-such-host.invalid:9400/metrics": None
    }


def test_what_is_no_worker_counts_as_one_that_does_not_answer() -> None:
    metrics = CollectorRegistry()
    Counter("simpersona_dead_letters", "Of somebody else.", registry=metrics)
    (port,) = free_ports(1)
    server, thread = start_http_server(port, addr="127.0.0.1", registry=metrics)
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        assert scrape_all([url]) == {url: None}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    "url", ["https://worker:9400/metrics", "worker:9400", "http://", "http://w:99999/metrics"]
)
def test_a_worker_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match="SIMPERSONA_DASHBOARD_WORKERS"):
        DashboardSettings(workers=(url,))
