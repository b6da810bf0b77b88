"""Profiles of a history, offline: fold, encode and count each event as the live path does.

Training makes a bundle's reference with it. Tests compare the live counts with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.behavior import ALLOWED_LATENESS_MS, columns
from feature_store.fold.products import ProductTable
from feature_store.fold.table import StateTable
from feature_store.fold.vectors import fold_each
from feature_store.history.offline_fold import warm_up as fold_warm_up
from feature_store.online.changes import NOTHING_SENT, Sent, as_sent, changes
from inference.counts.counting import (
    Arrivals,
    Key,
    ProfileTable,
    WindowRule,
    buyers_before,
    count,
    watermarks,
)
from inference.counts.profile import Counts
from inference.encoders.encoder import Encoding

Encode = Callable[[NDArray[np.float32]], Encoding]


class OfflineCounts:
    """Profiles by (partition, store, window). Add each partition's events in the order of the log."""

    def __init__(self, rule: WindowRule, encode: Encode) -> None:
        self._rule, self._encode = rule, encode
        self._states: StateTable[tuple[str, str]] = StateTable()
        self._products = ProductTable()
        self._sent: Sent = np.empty((0, len(NOTHING_SENT)), dtype=np.int16)  # by slot
        self._versions = np.empty(0, dtype=np.uint32)
        self._watermarks: dict[int, int] = defaultdict(int)
        self._numbers: dict[str, int] = {}
        self._table = ProfileTable()

    def add(self, events: Sequence[Event], *, partition: int = 0, created: Sequence[int] = ()) -> None:
        """Count events of one partition. created: their CreateTimes, ms; without it, their event times."""
        if not events:
            return
        self._products.trim()
        table = columns(events, self._products)
        slots = np.fromiter((self._slot((e.store, e.buyer)) for e in events), np.int64, len(events))
        stores = np.fromiter((self._number(e.store) for e in events), np.int64, len(events))
        partitions = np.full(len(events), partition, dtype=np.int64)
        made = np.array(created, dtype=np.int64) if created else table.time
        sent = self._sent
        was = buyers_before(self._states.states, slots, lambda at: (sent[at, 0] >= 0, *sent[at, :3].T))
        marks = watermarks(partitions, table.time, self._watermarks.__getitem__)
        self._watermarks[partition] = int(marks[-1])
        steps = fold_each(
            self._states.states, slots, table, self._products, allowed_lateness_ms=ALLOWED_LATENESS_MS
        )
        encoding = self._encode(steps.vectors)
        code, _, _, kind, confidence, forecast, chance = encoding
        now = as_sent(code, kind, confidence, forecast, chance)
        said = changes(slots[steps.places], now, steps.session_events, sent, self._versions, np.uint32(0))
        arrivals = Arrivals(slots, table.time, made, table.type, stores, partitions)
        count(self._table.rows, self._rule, was, arrivals, marks, steps, encoding, said.sent)

    def __len__(self) -> int:
        """The number of profiles in memory."""
        return len(self._table.row)

    def drain(self) -> dict[tuple[int, str, int], Counts]:
        """Remove and return the profiles since the last drain: (partition, store, window) -> counts.

        A window may be drained more than once; its profile is the sum.
        """
        names = list(self._numbers)
        found = {
            (partition, names[store], window): self._table.counts[row].astype(np.int64)
            for (partition, store, window), row in self._table.row.items()
        }
        for key in list[Key](self._table.row):
            self._table.remove(key)
        return found

    def _slot(self, key: tuple[str, str]) -> int:
        slot = self._states.slots.get(key)
        if slot is None:
            slot = self._states.add(key)
            missing = len(self._states.states.counters) - len(self._sent)
            if missing:
                added = np.tile(np.array(NOTHING_SENT, np.int16), (missing, 1))
                self._sent = np.concatenate([self._sent, added])
                self._versions = np.concatenate([self._versions, np.zeros(missing, np.uint32)])
        return slot

    def _number(self, store: str) -> int:
        return self._numbers.setdefault(store, len(self._numbers))


def warm_up() -> None:
    """Load all compiled kernels of the live path now.

    A fresh machine first compiles them, which takes half a minute; no shopper must wait for that.
    """
    fold_warm_up()
    event = Event(schema_version=1, event_id="warm-up", store="warm-up", buyer="0", type="login", timestamp=1)
    OfflineCounts(WindowRule(60_000, ALLOWED_LATENESS_MS), _empty_encoding).add([event])


def _empty_encoding(vectors: NDArray[np.float32]) -> Encoding:
    """An encoding with an encoder's dtypes, made without an encoder: Triton may be away while we warm up."""
    codes, measures = np.zeros(len(vectors), np.int64), np.zeros(len(vectors), np.float32)
    return Encoding(codes, measures, measures, codes, measures, codes, measures)
