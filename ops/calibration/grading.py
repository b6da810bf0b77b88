"""Forecasts made inside sessions, graded by how the sessions ended: one partition's log, read in order.

A session has ended when 30 minutes of event time went by after its last event: the buyer's next one begins
another session, or the partition's watermark is beyond. Graded are the forecasts after events 3, 5 and 10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event, record_key
from feature_store.fold.behavior import ALLOWED_LATENESS_MS, SESSION_GAP_MS, columns
from feature_store.fold.funnel import fact_cells
from feature_store.fold.products import ProductTable
from feature_store.fold.table import StateTable
from feature_store.fold.vector import SCALARS
from feature_store.fold.vectors import Steps, fold_each
from inference.calibration.in_force import InForce
from inference.calibration.stated import stated
from inference.encoders.encoder import Encoder, Encoding
from ops.verify.expected.log import Batch

POSITIONS: Final = (3, 5, 10)
LONGEST_MS: Final = 86_400_000
"""Sessions that last longer after their first forecast are no part of the test of what is stated."""
_SESSIONS: Final = next(i for i, scalar in enumerate(SCALARS) if scalar.name == "sessions")


class Forecast(NamedTuple):
    """What was found after one event. time: of the event, ms. cell: the buyer's fact cell then. raw_: as the
    graph gives it; the others as it was stated, NaN for not at all. calibration: the id of what held."""

    time: int
    position: int
    cell: int
    type: int
    raw_confidence: float
    confidence: float
    forecast: int
    raw_chance: float
    chance: float
    calibration: str | None


@dataclass
class _Session:
    number: int
    events: int = 0
    last_time: int = 0
    last_type: int = -1
    forecasts: list[Forecast] = field(default_factory=list)


class Ended(NamedTuple):
    """A session that ended: its store, when its last event was (ms), the type it ended as, its forecasts."""

    store: str
    ended: int
    type: int
    forecasts: Sequence[Forecast]


class Grader:
    """Grades one partition. `add` its batches in order; then `finish`."""

    def __init__(
        self,
        encoder: Encoder,
        void_before: Callable[[bytes], int],
        allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
    ) -> None:
        """void_before: Kafka key -> offset below which the buyer was erased."""
        self.ended: list[Ended] = []
        self.in_force = InForce()
        self.watermark = 0
        self._encoder, self._void_before, self._lateness = encoder, void_before, allowed_lateness_ms
        self._table: StateTable[bytes] = StateTable()
        self._products = ProductTable()
        self._sessions: dict[int, tuple[str, _Session]] = {}

    def add(self, batch: Batch) -> None:
        """Take the next records.

        Raises:
            EncoderUnavailableError: the encoder does not answer.
        """
        events: list[Event] = []
        slots: list[int] = []
        offsets: list[int] = []
        for record in batch:
            if record.calibration is not None:
                self.in_force.add(record.offset, record.calibration)
            if record.event is None:
                continue
            key = record_key(record.event.store, record.event.buyer)
            if record.offset >= self._void_before(key):
                slot = self._table.slots.get(key)
                events.append(record.event)
                slots.append(self._table.add(key) if slot is None else slot)
                offsets.append(record.offset)
        if events:
            self._fold(events, np.array(slots, np.int64), np.array(offsets, np.int64))

    def finish(self) -> dict[str, int]:
        """End the sessions that the watermark has passed.

        Returns store -> time (ms) of the first forecast of a session that is open; one that has lasted more
        than a day holds nothing up.
        """
        waiting: dict[str, int] = {}
        for store, session in self._sessions.values():
            if session.last_time < self.watermark - SESSION_GAP_MS:
                self._end(store, session)
            elif session.forecasts and session.forecasts[0].time >= self.watermark - LONGEST_MS:
                at = session.forecasts[0].time
                waiting[store] = min(waiting.get(store, at), at)
        return waiting

    def _fold(self, events: Sequence[Event], slots: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
        self._products.trim()
        table = columns(events, self._products)
        steps = fold_each(
            self._table.states, slots, table, self._products, allowed_lateness_ms=self._lateness
        )
        self.watermark = max(self.watermark, int(table.time.max()))
        places = steps.places.tolist()
        stores = [events[place].store for place in places]
        version = self._encoder.codebook_version
        held = [
            self.in_force.at(store, version, offset)
            for store, offset in zip(stores, offsets[steps.places].tolist(), strict=True)
        ]
        raw = self._encoder.encode(steps.vectors)
        spoken = stated(raw, stores, self._encoder.stores, held)
        names = [None if it is None else it.calibration_id for it in held]
        self._follow(steps, stores, slots[steps.places], raw, spoken, names)

    def _follow(
        self,
        steps: Steps,
        stores: Sequence[str],
        slots: NDArray[np.int64],
        raw: Encoding,
        spoken: Encoding,
        names: Sequence[str | None],
    ) -> None:
        numbers = steps.vectors[:, _SESSIONS].astype(np.int64).tolist()
        times, cells, types = steps.last_time.tolist(), fact_cells(steps.vectors).tolist(), raw.type.tolist()
        for i, (slot, number) in enumerate(zip(slots.tolist(), numbers, strict=True)):
            _, session = self._sessions.get(slot, ("", None))
            if session is None or session.number != number:
                if session is not None:
                    self._end(stores[i], session)
                session = _Session(number)
                self._sessions[slot] = stores[i], session
            session.events += 1
            session.last_time, session.last_type = times[i], types[i]
            if session.events in POSITIONS:
                session.forecasts.append(
                    Forecast(
                        times[i],
                        session.events,
                        cells[i],
                        types[i],
                        float(raw.confidence[i]),
                        float(spoken.confidence[i]),
                        int(raw.forecast[i]),
                        float(raw.forecast_probability[i]),
                        float(spoken.forecast_probability[i]),
                        names[i],
                    )
                )

    def _end(self, store: str, session: _Session) -> None:
        if session.forecasts:
            self.ended.append(Ended(store, session.last_time, session.last_type, session.forecasts))
