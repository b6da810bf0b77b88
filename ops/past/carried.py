"""Which events carry a persona: the fold without them, one at a time and in blocks, encoded again.

A state is a function of its events, so leaving some out is exact. A long history is looked at in blocks, and
event by event where a block carries most (docs/adr/0063).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.behavior import EventColumns, StateArrays, columns, empty_states, fold
from feature_store.fold.products import ProductTable
from feature_store.fold.state import pack_states, unpack_states
from feature_store.fold.vectors import vectors
from inference.encoders.encoder import Encoder, Encoding

ONE_BY_ONE: Final = 200
"""A history of so many events is looked at event by event."""
_SINGLES: Final = 16
"""Events of a longer one that are left out one at a time."""
_BLOCKS: Final = 20
_MOST_FOLDS: Final = 1_000_000
"""What one answer may cost; a history too long for all of this has fewer blocks and fewer single events."""


class Effect(NamedTuple):
    """What is otherwise without the events at places [start, end) of a history.

    code, type, forecast: as the encoder gives them then (indices, -1: none). change: by how much the
    probability of one type at least changes in the forecast, 0 to 1.
    """

    start: int
    end: int
    code: int
    type: int
    forecast: int
    change: float


class History:
    """One buyer's events, all of which changed the state, with states to go on from."""

    def __init__(self, events: Sequence[Event], allowed_lateness_ms: int) -> None:
        self._products, self._lateness = ProductTable(), allowed_lateness_ms
        self._batch, self.n = columns(events, self._products), len(events)

    def without(self, spans: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """The vectors, float32 [s, W], of the states without the events at places [start, end) of each span;
        spans ascend. One without any event left is the empty state's."""
        states, out = empty_states(len(spans) + 1), np.arange(1, len(spans) + 1)
        reached = 0
        for slot, (start, end) in enumerate(spans, 1):
            self._fold(states, 0, reached, start)
            reached = start
            unpack_states(states, np.array([slot]), pack_states(states, np.array([0])))
            self._fold(states, slot, end, self.n)
        return vectors(states, out)

    def without_each(self, wanted: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
        """The vectors, float32 [s, W], of the states without the events that each mask, bool [n], names."""
        states = empty_states(len(wanted))
        for slot, left_out in enumerate(wanted):
            self._fold_at(states, slot, np.flatnonzero(~left_out))
        return vectors(states, np.arange(len(wanted)))

    def with_more(self, added: Sequence[Sequence[Event]]) -> NDArray[np.float32]:
        """The vectors, float32 [a, W], of the states with some events more, each alternative by itself."""
        states = empty_states(len(added) + 1)
        self._fold(states, 0, 0, self.n)
        packed = pack_states(states, np.array([0])) * len(added)
        unpack_states(states, np.arange(1, len(added) + 1), packed)
        slots = np.repeat(np.arange(1, len(added) + 1), [len(events) for events in added])
        batch = columns([event for events in added for event in events], self._products)
        fold(states, slots, batch, self._products, allowed_lateness_ms=self._lateness)
        return vectors(states, np.arange(1, len(added) + 1))

    def _fold(self, states: StateArrays, slot: int, start: int, end: int) -> None:
        self._fold_at(states, slot, np.arange(start, end))

    def _fold_at(self, states: StateArrays, slot: int, places: NDArray[np.int64]) -> None:
        batch = EventColumns._make(column[places] for column in self._batch)
        slots = np.full(len(places), slot, np.int64)
        fold(states, slots, batch, self._products, allowed_lateness_ms=self._lateness)


def forecast_change(whole: Encoding, other: Encoding) -> NDArray[np.float64]:
    """By how much the probability of one type changes at least from the forecast of a persona (one row) to
    those of others (n rows): float64 [n]. Without a forecast on either side: whether the type is another.

    The encoder gives the likeliest type and its probability p. That of any other type is at most p, and at
    most 1 - p.
    """
    p, q = float(whole.forecast_probability[0]), other.forecast_probability.astype(np.float64)
    at_most_q, at_most_p = np.minimum(q, 1 - q), min(p, 1 - p)
    otherwise = np.maximum(np.maximum(p - at_most_q, q - at_most_p), 0.0)
    change = np.where(other.forecast == whole.forecast[0], np.abs(p - q), otherwise)
    return np.where(np.isnan(change), (other.type != whole.type[0]).astype(np.float64), change)


def effects(history: History, encoder: Encoder, whole: Encoding) -> tuple[list[Effect], list[Effect]]:
    """What each event and each block carries: (events, blocks), each in the order of the history.

    whole: the encoding, one row, of the history; without any calibration, as are the others.
    """
    n = history.n
    if n <= ONE_BY_ONE:
        return _effects(history, encoder, whole, [(i, i + 1) for i in range(n)]), []
    count = max(2, min(_BLOCKS, _MOST_FOLDS // n))
    borders = np.linspace(0, n, count + 1).astype(int).tolist()
    blocks = _effects(history, encoder, whole, list(itertools.pairwise(borders)))
    room, wanted = min(_SINGLES, max(1, _MOST_FOLDS // n)), list[int]()
    for block in sorted(blocks, key=lambda it: -it.change):
        wanted += range(block.end - 1, block.start - 1, -1)
        if len(wanted) >= room:
            break
    spans = [(i, i + 1) for i in sorted(wanted[:room])]
    return _effects(history, encoder, whole, spans), blocks


def _effects(
    history: History, encoder: Encoder, whole: Encoding, spans: Sequence[tuple[int, int]]
) -> list[Effect]:
    spans = [span for span in spans if span != (0, history.n)]  # without any event there is no persona
    if not spans:
        return []
    other = encoder.encode(history.without(spans))
    change = forecast_change(whole, other)
    rows = zip(
        other.code.tolist(), other.type.tolist(), other.forecast.tolist(), change.tolist(), strict=True
    )
    return [Effect(*span, *row) for span, row in zip(spans, rows, strict=True)]


def strongest(found: Sequence[Effect], most: int) -> list[Effect]:
    """Those that change the forecast most, the strongest first; of equals the later."""
    return sorted(found, key=lambda it: (-it.change, -it.start))[:most]
