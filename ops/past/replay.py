"""An assignment made again from its buyer's events: the workers' fold, and the version that assigned it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.calibration import Calibration
from feature_store.contract.events import Event
from feature_store.fold.behavior import columns, empty_states
from feature_store.fold.products import ProductTable
from feature_store.fold.vectors import fold_each
from feature_store.online.assignment import Assignment, is_of_an_earlier_release
from inference.calibration.stated import stated
from inference.encoders.encoder import Encoder, Encoding
from ops.verify.expected.assigned import word_of
from ops.verify.expected.ties import Answer, is_tie


class Placed(NamedTuple):
    """An event of a buyer and its offset in the log; -1: history from before the topic."""

    offset: int
    event: Event


class Folded(NamedTuple):
    """The state after a buyer's events: its vector, float32 [1, W], how many of them changed it, the latest
    event time (ms), and which: places among those that were given, ascending."""

    vector: NDArray[np.float32]
    events: int
    last_time: int
    places: list[int]


def fold_buyer(events: Sequence[Event], allowed_lateness_ms: int) -> Folded:
    """Fold one buyer's events, one or more, in the order of the log."""
    products = ProductTable()
    batch = columns(events, products)
    slots = np.zeros(len(events), np.int64)
    steps = fold_each(empty_states(1), slots, batch, products, allowed_lateness_ms=allowed_lateness_ms)
    return Folded(steps.vectors[-1:], int(steps.events[-1]), int(steps.last_time[-1]), steps.places.tolist())


def encode_one(
    encoder: Encoder, vector: NDArray[np.float32], store: str, calibration: Calibration | None
) -> Encoding:
    """What a version may state of a state's vector, float32 [1, W], with the calibration that holds."""
    return stated(encoder.encode(vector), [store], encoder.stores, [calibration])


def type_name(encoder: Encoder, index: int) -> str | None:
    """A type's name; None for -1."""
    return encoder.types[index] if 0 <= index < len(encoder.types) else None


def answer_of(encoder: Encoder, encoding: Encoding) -> Answer:
    """The first row of an encoding, types by name."""
    code, distance, margin, kind, confidence, forecast, chance = (column[0].item() for column in encoding)
    names = type_name(encoder, kind), type_name(encoder, forecast)
    return Answer(code, names[0], confidence, names[1], chance, distance, margin)


def difference(raw: bytes, a: Assignment, folded: Folded, answer: Answer) -> str | None:
    """In what an assignment is not what its events give, by verify's own measure; None: it is that.

    raw: the assignment as the topic has it.
    """
    if (a.events, a.event_time) != (folded.events, folded.last_time):
        return f"{folded.events} events to {folded.last_time}, assigned were {a.events} to {a.event_time}"
    word = word_of(b"", a, is_earlier=is_of_an_earlier_release(raw))
    if is_tie(word, answer):
        return None
    names = [name for name in ("code", "type", "forecast") if getattr(a, name) != getattr(answer, name)]
    return f"another {names[0] if names else 'figure'}"
