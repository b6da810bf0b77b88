"""What the demo sends: generated shoppers, or a file; and the thread that sends it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feature_store.contract.events import Event
from feature_store.contract.identity import BuyerHasher, load_id_keys
from feature_store.errors import EventSourceError
from feature_store.log.producer import Output
from feature_store.sources.choice import SourceChoice
from feature_store.sources.reader import EventSource, open_chosen
from ops.errors import DemoError
from ops.replay.events import Rate, ReplayReport, first_events, replay_events
from ops.traffic import TrafficConfig, generate, live_config

SEED: Final = 7
"""Generated traffic is the same each time but for its start, which is now."""
DEFAULT_RATE: Final = 500.0
DEFAULT_SECONDS: Final = 20.0
_BATCH_EVENTS: Final = 500
_FILE_SECONDS: Final = 30.0
_LEAST_FILE_RATE: Final = 100.0
"""Events/s: a small file need not last the whole _FILE_SECONDS."""


@dataclass(frozen=True)
class Traffic:
    """Events to send at `rate` (events/s). `source` is None for generated traffic, `seed` for a file."""

    what: str
    batches: Iterable[list[Event]]
    rate: float
    seed: int | None = None
    source: EventSource | None = None

    @property
    def not_sent(self) -> dict[str, int]:
        """Records of the file that were no events or broken, by reason; of what was read so far."""
        return {} if self.source is None else {**self.source.report.skipped, **self.source.report.invalid}


def generated(rate: float | None, seconds: float | None) -> Traffic:
    """Live traffic of four shops."""
    rate, seconds = rate or DEFAULT_RATE, seconds or DEFAULT_SECONDS
    config = live_config(TrafficConfig(), SEED, rate, time.time_ns() // 1_000_000)
    batches = generate(config, SEED, batch_events=_BATCH_EVENTS, endless=True)
    return Traffic(
        f"generated shoppers of {config.stores} shops, {rate:,.0f} events/s for {seconds:g} s",
        first_events(batches, max(1, round(rate * seconds))),
        rate,
        seed=SEED,
    )


def from_file(
    path: Path, choice: SourceChoice, rate: float | None, seconds: float | None, home: Path
) -> Traffic:
    """Files of events, whole unless `seconds` cuts it; without a rate, it lasts about 30 s.

    Raw buyer ids in it become pseudonyms under a key made in the data folder `home`.

    Raises:
        EventSourceError: the file is missing, of no supported format, or holds no event.
    """
    source = open_chosen(path, BuyerHasher(*load_id_keys(home, create=True)), choice)
    rate = rate or max(source.count_records() / _FILE_SECONDS, _LEAST_FILE_RATE)
    read = source.batches(_BATCH_EVENTS)
    first = next(read, None)
    if first is None:
        raise EventSourceError(f"{path} holds no event: {source.report.not_taken}")
    batches: Iterable[list[Event]] = itertools.chain([first], read)
    what = f"{path} at {rate:,.0f} events/s"
    if seconds is not None:
        batches = first_events(batches, max(1, round(rate * seconds)))
        what += f" for {seconds:g} s"
    return Traffic(what, batches, rate, source=source)


class CountingOutput(Output):
    """An Output that counts what it was given."""

    sent = 0

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """See Output."""
        super().send(topic, key, value)
        self.sent += 1


class Replay:
    """Sends traffic in a thread, from `start` on."""

    def __init__(self, traffic: Traffic, output: CountingOutput, topic: str) -> None:
        self.report: ReplayReport | None = None
        self._traffic, self._output, self._topic = traffic, output, topic
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """End early; what was sent is acknowledged."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def sent(self) -> int:
        """Events sent so far."""
        return self._output.sent

    @property
    def done(self) -> bool:
        """Whether all is sent and acknowledged; `report` says how much.

        Raises:
            DemoError: it could not be sent.
        """
        if self._failure is not None:
            raise DemoError(f"the replay broke off: {self._failure}") from self._failure
        return self.report is not None

    def _run(self) -> None:
        pace = Rate(self._traffic.rate)
        try:
            self.report = replay_events(
                self._traffic.batches, self._output, self._topic, pace, stop=self._stop
            )
        except Exception as error:  # handed to the thread that asks `done`
            self._failure = error
