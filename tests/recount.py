"""Counts of windows from a log, in one ordered read: what the workers' counts are held against."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from feature_store.behavior import columns
from feature_store.describe import fold_each
from feature_store.events import Event
from feature_store.products import ProductTable
from feature_store.table import StateTable
from inference.assignment import confidence_bands
from inference.bundle import load_bundle, starter_bundle_path
from inference.counting import Arrivals, ProfileTable, Windows, before, count, watermarks
from inference.onnx_encoder import OnnxEncoder
from inference.profile import Counts, empty_profile, pack_profile

_ENCODER = OnnxEncoder(load_bundle(starter_bundle_path()))


class Recount:
    """Feed it a partition's events in the log's order."""

    def __init__(self, length_ms: int, lateness_ms: int) -> None:
        self._windows = Windows(length_ms, lateness_ms)
        self._states: StateTable[tuple[str, str]] = StateTable()
        self._products = ProductTable()
        self._said = np.full((1024, 3), -1, dtype=np.int64)
        self._watermark: dict[int, int] = defaultdict(int)
        self._stores: list[str] = []
        self.table = ProfileTable()

    def add(self, partition: int, events: list[Event], created: list[int]) -> None:
        """Count events of a partition, in order; created: CreateTime, ms."""
        if not events:
            return
        slots = np.array([self._slot((e.store, e.buyer)) for e in events])
        stores = np.array([self._store(e.store) for e in events])
        table = columns(events, self._products)
        was = before(self._states.states, slots, lambda at: (self._said[at, 0] >= 0, *self._said[at].T))
        partitions = np.full(len(events), partition)
        marks = watermarks(partitions, table.time, self._watermark.__getitem__)
        self._watermark[partition] = int(marks[-1])
        steps = fold_each(self._states.states, slots, table, self._products)
        encoding = _ENCODER.encode(steps.vectors)
        bands = confidence_bands(encoding.confidence)
        arrivals = Arrivals(slots, table.time, np.array(created), table.type, stores, partitions)
        count(self.table.rows, self._windows, was, arrivals, marks, steps, encoding, bands)
        self._said[slots[steps.places]] = np.column_stack([encoding.code, encoding.type, bands])

    def packed(self) -> dict[tuple[int, str, int], bytes]:
        """(partition, store, window) -> packed counts."""
        return {
            (partition, self._stores[store], window): pack_profile(self.table.counts[row])
            for (partition, store, window), row in self.table.row.items()
            if self.table.counts[row].any()
        }

    def merged(self) -> dict[tuple[str, int], bytes]:
        """(store, window) -> packed counts, partitions added up."""
        sums: dict[tuple[str, int], Counts] = defaultdict(empty_profile)
        for (_, store, window), row in self.table.row.items():
            sums[self._stores[store], window] = sums[self._stores[store], window] + self.table.counts[row]
        return {key: pack_profile(counts) for key, counts in sums.items() if counts.any()}

    def _slot(self, key: tuple[str, str]) -> int:
        slot = self._states.slots.get(key)
        if slot is None:
            slot = self._states.add(key)
            while slot >= len(self._said):
                self._said = np.concatenate([self._said, np.full_like(self._said, -1)])
        return slot

    def _store(self, store: str) -> int:
        if store not in self._stores:
            self._stores.append(store)
        return self._stores.index(store)
