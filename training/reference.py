"""reference.json: the training data counted as the live path counts, and how much it varies by itself.

A significance test of counts assumes independent votes. Buyers stay for several windows, mornings
differ from evenings, campaigns come and go: even a quiet store varies more than that. How much more
is measured on the history itself, a feature and length of span at a time: Pearson's X2 of each span's
counts against the store's, over its degrees of freedom. This is the dispersion of McCullagh and Nelder
(Generalized Linear Models, 1989, section 4.5), a first-order correction in the sense of Rao and Scott
(Annals of Statistics 12, 1984). Drift divides its statistic by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_store.events import Event
from inference.counting import Windows
from inference.profile import CELLS, FEATURES, Counts, Feature, buyers, empty_profile
from inference.recount import Encode, Recount
from inference.reference import SPANS_MS, Reference, reference_to_json

WINDOW_MS: Final = 300_000
MAX_STORES: Final = 200
"""Stores kept apart, the largest; the others are in the pooled counts. Bounds reference.json."""

_NEVER_LATE: Final = Windows(WINDOW_MS, 2**50)
_ROWS_HELD: Final = 20_000
_LEAST_VOTES: Final = 20
"""A span with fewer votes says too little of how spans vary."""
_LEAST_FREEDOM: Final = 100
_UNMEASURED: Final = 3.0
"""Where the history is too short to say: the default windows of a short span, one vote of a buyer in each."""


class ReferenceCounter:
    """Feed it a history in arrival order, several sources one after the other."""

    def __init__(self, encode: Encode) -> None:
        self._recount = Recount(_NEVER_LATE, encode)
        self._spans = {span: _Spread(span) for span in SPANS_MS}
        self._stores: dict[str, Counts] = defaultdict(empty_profile)

    def add(self, events: Sequence[Event]) -> None:
        """Count a batch."""
        self._recount.add(events)
        if len(self._recount) > _ROWS_HELD:
            self._take_over()

    def reference(self) -> Reference:
        """What was counted until now."""
        self._take_over()
        largest = sorted(self._stores, key=lambda store: -buyers(self._stores[store]))[:MAX_STORES]
        return Reference(
            pooled=sum(self._stores.values(), empty_profile()),
            stores={store: self._stores[store] for store in sorted(largest)},
            dispersion={span: spread.dispersion() for span, spread in self._spans.items()},
        )

    def _take_over(self) -> None:
        for (_, store, window), counts in self._recount.drain().items():
            self._stores[store] = self._stores[store] + counts
            for spread in self._spans.values():
                spread.add(store, window * WINDOW_MS, counts)


class _Spread:
    """Counts of a history cut into spans, store by store.

    Held are the spans that may still grow; of the others, by store, what X2 needs: sum of n_rk^2 / n_r over
    spans r (float64 [CELLS]), the counts of the same spans, and how many spans there were, a feature.
    """

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._open: dict[tuple[str, int], Counts] = defaultdict(empty_profile)
        self._squares: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(CELLS))
        self._sums: dict[str, Counts] = defaultdict(empty_profile)
        self._count: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(len(FEATURES), np.int64))

    def add(self, store: str, at_ms: int, counts: Counts) -> None:
        """Add counts of a window that begins at a time."""
        key = (store, at_ms // self._span_ms)
        self._open[key] = self._open[key] + counts
        if len(self._open) > _ROWS_HELD:
            self._close(sorted(self._open, key=lambda at: at[1])[: _ROWS_HELD // 2])

    def dispersion(self) -> dict[str, float]:
        """How much each feature's counts vary, 1 being independent votes; never below 1."""
        self._close(list(self._open))
        return {feature.name: self._of(i, feature) for i, feature in enumerate(FEATURES)}

    def _close(self, keys: Sequence[tuple[str, int]]) -> None:
        for key in keys:
            counts, store = self._open.pop(key), key[0]
            for i, feature in enumerate(FEATURES):
                mine = counts[feature.cells]
                votes = int(mine.sum())
                if votes >= _LEAST_VOTES:
                    self._squares[store][feature.cells] += mine.astype(np.float64) ** 2 / votes
                    self._sums[store][feature.cells] += mine
                    self._count[store][i] += 1

    def _of(self, i: int, feature: Feature) -> float:
        statistic, freedom = 0.0, 0
        for store, spans in self._count.items():
            sums = self._sums[store][feature.cells]
            met = sums > 0
            freedom += max(0, int(spans[i]) - 1) * max(0, int(met.sum()) - 1)
            # sum over spans of (n_rk - n_r p_k)^2 / (n_r p_k), with p_k = sums / their sum
            squares = self._squares[store][feature.cells][met]
            statistic += float((squares / sums[met]).sum() * sums.sum() - sums.sum())
        return round(max(1.0, statistic / freedom), 3) if freedom >= _LEAST_FREEDOM else _UNMEASURED


def make_reference(batches: Iterable[Sequence[Event]], encode: Encode) -> dict[str, Any]:
    """reference.json's content of a training history, given in arrival order.

    encode: the exported graph, vectors float32 [n, 403] -> Encoding. It is asked after every event, as
    in the live path, so this reads the history once more.
    """
    counter, events = ReferenceCounter(encode), 0
    for batch in batches:
        counter.add(batch)
        events += len(batch)
    reference = counter.reference()
    about = {"window_ms": WINDOW_MS, "events": events, "votes": buyers(reference.pooled)}
    return reference_to_json(reference, about)
