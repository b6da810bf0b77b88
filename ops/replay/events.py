"""Send events to the clickstream topic at a stated pace: the demo's, the load tests' and replay's producer.

The pace is a schedule, not a pause: event n is due at a fixed time after the start, so that a slow
moment is caught up and a rate is met exactly over the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

import msgspec

from feature_store.contract.events import Event, encode_event, record_key

_PROGRESS_S: Final = 1.0
_SHORTEST_WAIT_S: Final = 0.001
"""Waits are no finer: a millisecond's worth of events leaves at once."""
_POLL_EVENTS: Final = 1_000
"""Delivery failures are looked for at least this often."""


class EventProducer(Protocol):
    """What sends: `feature_store.log.producer.Output`, or a fake in unit tests."""

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Queue a message; blocks while the queue is full."""

    def poll(self) -> None:
        """Serve delivery reports."""

    def flush(self) -> None:
        """Wait until everything sent is acknowledged; raise if anything was not."""


class Pace(Protocol):
    """When events are due."""

    def due(self, event: Event, sent: int) -> float:
        """Seconds after the start at which `event`, the one after `sent` others, is to be sent."""


class AsFastAsPossible:
    """Every event is due at once."""

    def due(self, event: Event, sent: int) -> float:
        """Now."""
        return 0.0


class Rate:
    """So many events per second."""

    def __init__(self, events_per_second: float) -> None:
        self._interval = 1.0 / events_per_second

    def due(self, event: Event, sent: int) -> float:
        """Evenly spaced."""
        return sent * self._interval


class EventTime:
    """As the events happened, `speed` times as fast; what comes out of order is due with its elders."""

    def __init__(self, speed: float) -> None:
        self._per_ms = 1.0 / (1000.0 * speed)
        self._first_ms: int | None = None

    def due(self, event: Event, sent: int) -> float:
        """The event's time after the first event's, divided by the speed."""
        if self._first_ms is None:
            self._first_ms = event.timestamp
        return (event.timestamp - self._first_ms) * self._per_ms


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """events: acknowledged by Kafka. bytes: of their values. seconds: from the first to the last ack."""

    events: int
    bytes: int
    seconds: float
    events_per_s: float
    stopped: bool


def replay_events(
    batches: Iterable[list[Event]],
    producer: EventProducer,
    topic: str,
    pace: Pace,
    *,
    stop: threading.Event,
    on_progress: Callable[[int, float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ReplayReport:
    """Send every event, keyed by store|buyer, when `pace` says; return when Kafka has acknowledged all.

    `on_progress` is called about once per second with (events sent, seconds since the start). Setting
    `stop` ends early, with what was sent acknowledged.

    Raises:
        ProducerError: Kafka did not take an event.
    """
    sent = size = 0
    start = now = clock()
    next_progress = start + _PROGRESS_S
    for event in _until(stop, batches):
        due = start + pace.due(event, sent)
        if due > now or sent % _POLL_EVENTS == 0:
            producer.poll()
            now = _wait_until(due, clock, stop)
            if on_progress and now >= next_progress:
                on_progress(sent, now - start)
                next_progress = now + _PROGRESS_S
            if stop.is_set():
                break
        value = encode_event(event)
        producer.send(topic, record_key(event.store, event.buyer), value)
        sent += 1
        size += len(value)
    producer.flush()
    seconds = clock() - start
    return ReplayReport(
        events=sent,
        bytes=size,
        seconds=seconds,
        events_per_s=sent / seconds if seconds > 0 else 0.0,
        stopped=stop.is_set(),
    )


def first_events(batches: Iterable[list[Event]], count: int) -> Iterator[list[Event]]:
    """The first `count` events, for a run of a known length off endless traffic."""
    for batch in batches:
        yield list(islice(batch, count))
        count -= len(batch)
        if count <= 0:
            return


def _until(stop: threading.Event, batches: Iterable[list[Event]]) -> Iterator[Event]:
    for batch in batches:
        if stop.is_set():
            return
        yield from batch


def _wait_until(due: float, clock: Callable[[], float], stop: threading.Event) -> float:
    """Wait for the due time (or for `stop`); the time then."""
    while (now := clock()) < due and not stop.is_set():
        stop.wait(max(due - now, _SHORTEST_WAIT_S))
    return now
