"""What every peer does with an event: our fold, our encoder, our message, for states kept by key.

A framework that keeps state by key holds one opaque value a buyer and hands over one event at a time, so
the fold is called with a table of one row. Where a framework can gather many events in a step, `encode`
takes them all in one call of the model.
"""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.behavior import COUNTER, StateArrays, columns, empty_states, fold
from feature_store.fold.memory import empty_memory
from feature_store.fold.products import ProductTable
from feature_store.fold.vectors import vectors
from feature_store.online.assignment import Assignment, Reason, confidence_band, encode_assignment, token
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.encoder import Encoding
from inference.encoders.onnx import OnnxEncoder

CHECKPOINT_S: Final = 1.0
"""How often state is made durable: our worker's default, and so everyone's."""
PRODUCER: Final[dict[str, Any]] = {
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 5,
    "partitioner": "murmur2_random",
}
"""librdkafka settings of our own producer, for peers on the same client."""

_EMPTY: Final[tuple[NDArray[Any], ...]] = empty_states(1)[:-1]
"""A state of fixed size: without the memory of older ids and of orders, so a peer has less to do than we."""
_SIZES: Final = [array.nbytes for array in _EMPTY]
_ROW_BYTES: Final = sum(_SIZES)
_ENDS: Final = np.cumsum(_SIZES).tolist()


class Assigned(NamedTuple):
    """What was last assigned to a buyer, or may be assigned now."""

    code: int
    type: int
    band: int


class Persona(NamedTuple):
    """An encoder's answer for one state, with what the message says of the state itself."""

    assigned: Assigned
    distance: float
    margin: float
    confidence: float
    events: int
    event_time: int


_ASSIGNED: Final = struct.Struct("<hbB")


def pack(state: bytes, assigned: Assigned) -> bytes:
    """One value for what is kept of a buyer."""
    return state + _ASSIGNED.pack(*assigned)


def unpack(value: bytes | None) -> tuple[bytes | None, Assigned | None]:
    """A kept value taken apart; nothing of a new buyer."""
    if value is None:
        return None, None
    return value[: -_ASSIGNED.size], Assigned(*_ASSIGNED.unpack(value[-_ASSIGNED.size :]))


class Surroundings(NamedTuple):
    """Where a peer runs: the servers, its topics, its consumer group and a folder of its own."""

    bootstrap_servers: str
    store_url: str
    input: str
    output: str
    group: str
    folder: str


def surroundings() -> Surroundings:
    """What the driver says, in the environment."""
    return Surroundings(*(os.environ[f"RACE_{name.upper()}"] for name in Surroundings._fields))


class BuyerFold:
    """Folds one event into one buyer's state, a bytes value of fixed size."""

    def __init__(self) -> None:
        self._row = np.zeros(_ROW_BYTES, dtype=np.uint8)
        self._states = _split(self._row.reshape(1, -1))
        self._slot = np.zeros(1, dtype=np.int64)
        self._products = ProductTable()

    def __call__(self, state: bytes | None, event: Event) -> bytes:
        """The state after the event; None is a buyer who did nothing yet."""
        self._row[:] = 0 if state is None else np.frombuffer(state, dtype=np.uint8)
        self._products.trim()
        fold(self._states, self._slot, columns([event], self._products), self._products)
        return self._row.tobytes()


class BuyerEncoder:
    """The bundle that our worker answers with, in process, one thread."""

    def __init__(self) -> None:
        self._encoder = OnnxEncoder(load_bundle(starter_bundle_path()), threads=1)

    def __call__(self, states: Sequence[bytes]) -> list[Persona]:
        """One persona per state."""
        table = _split(np.frombuffer(b"".join(states), dtype=np.uint8).reshape(len(states), -1))
        encoding: Encoding = self._encoder.encode(vectors(table, np.arange(len(states))))
        events = table.counters[:, COUNTER["events"]].tolist()
        times = table.counters[:, COUNTER["last_time"]].tolist()
        return [
            Persona(Assigned(code, kind, confidence_band(confidence)), distance, margin, confidence, n, at)
            for code, distance, margin, kind, confidence, n, at in zip(
                *(column.tolist() for column in encoding[:5]), events, times, strict=True
            )
        ]

    def features(self, persona: Persona) -> tuple[int, str, float, float, int, int]:
        """A row of the persona view: code, token, distance, margin, events, assigned_at (ms)."""
        code = persona.assigned.code
        now = time.time_ns() // 1_000_000
        return code, token(code), persona.distance, persona.margin, persona.events, now

    def message(
        self, event: Event, persona: Persona, before: Assigned | None, partition: int, offset: int
    ) -> bytes | None:
        """The assignment to send; None where nothing changed."""
        now = persona.assigned
        if before == now:
            return None
        reason: Reason = "confidence"
        if before is None or before.code != now.code:
            reason = "code"
        elif before.type != now.type:
            reason = "type"
        return encode_assignment(
            Assignment(
                store=event.store,
                buyer=event.buyer,
                code=now.code,
                token=token(now.code),
                type=self._encoder.types[now.type] if now.type >= 0 else None,
                confidence=None if math.isnan(persona.confidence) else persona.confidence,
                distance=persona.distance,
                margin=persona.margin,
                codebook_version=self._encoder.codebook_version,
                events=persona.events,
                reason=reason,
                event_time=persona.event_time,
                assigned_at=time.time_ns() // 1_000_000,
                partition=partition,
                offset=offset,
            )
        )


def _split(rows: NDArray[np.uint8]) -> StateArrays:
    """uint8 [n, bytes of a row] -> the arrays of n states; of one row, views that write through."""
    parts = np.split(rows, _ENDS[:-1], axis=1)
    arrays: list[NDArray[Any]] = [
        np.ascontiguousarray(part).view(array.dtype).reshape(len(rows), *array.shape[1:])
        for part, array in zip(parts, _EMPTY, strict=True)
    ]
    return StateArrays._make([*arrays, empty_memory(len(rows))])
