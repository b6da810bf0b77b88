"""Pacing, keys and the end of a replay, on a fake clock and a fake producer."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import Event, decode_event, record_key
from ops.replay.events import (
    AsFastAsPossible,
    EventTime,
    Pace,
    Rate,
    ReplayReport,
    first_events,
    replay_events,
)
from tests.strategies import START, event


class FakeTime(threading.Event):
    """A clock that only waiting moves, and the stop event that is waited on."""

    def __init__(self, oversleep: float = 0.0) -> None:
        super().__init__()
        self.now = 100.0
        self.oversleep = oversleep

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now += timeout + self.oversleep
        return self.is_set()

    def clock(self) -> float:
        return self.now


class FakeProducer:
    def __init__(self, time: FakeTime) -> None:
        self.time = time
        self.sent: list[tuple[float, str, bytes | None, bytes]] = []
        self.flushed = 0

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        self.sent.append((self.time.now - 100.0, topic, key, value))

    def poll(self) -> None:
        pass

    def flush(self) -> None:
        self.flushed = len(self.sent)


def events(count: int, step_ms: int = 1_000) -> list[Event]:
    return [event(event_id=f"e{i}", timestamp=START + i * step_ms) for i in range(count)]


def run(batches: list[list[Event]], pace: Pace, time: FakeTime) -> tuple[ReplayReport, FakeProducer]:
    producer = FakeProducer(time)
    report = replay_events(batches, producer, "clicks", pace, stop=time, clock=time.clock)
    assert producer.flushed == len(producer.sent) == report.events
    return report, producer


@given(rate=st.floats(0.5, 5_000), count=st.integers(1, 300), oversleep=st.floats(0, 0.5))
def test_a_rate_is_a_schedule_that_slow_moments_do_not_shift(
    rate: float, count: int, oversleep: float
) -> None:
    """Event n never leaves before n / rate, and after it by one late awakening at most: no drift."""
    _, producer = run([events(count)], Rate(rate), FakeTime(oversleep))
    for n, (at, *_) in enumerate(producer.sent):
        assert n / rate - 1e-6 <= at <= n / rate + oversleep + 0.001 + 1e-6


def test_the_report_states_the_achieved_rate() -> None:
    report, _ = run([events(50), events(51)], Rate(10), FakeTime())
    assert report.events == 101
    assert report.seconds == pytest.approx(10, abs=0.01)
    assert report.events_per_s == pytest.approx(10.1, abs=0.02)
    assert not report.stopped


def test_event_time_is_played_at_the_speed_and_late_events_leave_at_once() -> None:
    played = [
        event(event_id=str(i), timestamp=START + ms) for i, ms in enumerate([0, 60_000, 30_000, 120_000])
    ]
    _, producer = run([played], EventTime(60), FakeTime())
    assert [at for at, *_ in producer.sent] == pytest.approx([0, 1, 1, 2], abs=0.01)


def test_as_fast_as_possible_never_waits() -> None:
    time = FakeTime()
    _, producer = run([events(5_000)], AsFastAsPossible(), time)
    assert time.now == 100.0
    assert len(producer.sent) == 5_000


def test_each_event_leaves_as_it_is_under_its_buyer_s_key() -> None:
    sent = [event(buyer="ä|b", store="s"), event(buyer="c", store="t")]
    _, producer = run([sent], AsFastAsPossible(), FakeTime())
    assert [decode_event(value) for *_, value in producer.sent] == sent
    assert [key for _, _, key, _ in producer.sent] == [record_key("s", "ä|b"), record_key("t", "c")]
    assert {topic for _, topic, *_ in producer.sent} == {"clicks"}


def test_stop_ends_a_run_with_what_was_sent_acknowledged() -> None:
    time = FakeTime()

    def endless() -> Iterator[list[Event]]:
        while True:
            yield events(10)

    producer = FakeProducer(time)
    stop_after = lambda sent, _seconds: time.set() if sent >= 50 else None  # noqa: E731
    report = replay_events(
        endless(), producer, "clicks", Rate(10), stop=time, on_progress=stop_after, clock=time.clock
    )
    assert report.stopped
    assert 50 <= report.events == producer.flushed <= 60


def test_progress_comes_about_once_a_second() -> None:
    time, heard = FakeTime(), list[tuple[int, float]]()
    replay_events(
        [events(100)],
        FakeProducer(time),
        "clicks",
        Rate(10),
        stop=time,
        on_progress=lambda sent, seconds: heard.append((sent, seconds)),
        clock=time.clock,
    )
    assert [round(seconds) for _, seconds in heard] == list(range(1, 10))
    assert [sent for sent, _ in heard] == pytest.approx([10 * n for n in range(1, 10)], abs=1)


@given(sizes=st.lists(st.integers(0, 7), max_size=10), count=st.integers(1, 40))
def test_first_events_cuts_batches_at_the_count(sizes: list[int], count: int) -> None:
    batches = [events(size) for size in sizes]
    flat = [one for batch in batches for one in batch]
    assert [one for batch in first_events(batches, count) for one in batch] == flat[:count]
