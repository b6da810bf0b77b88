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
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from inference.bundles.reference import SPANS_MS, Reference, reference_to_json
from inference.counts.counting import WindowRule
from inference.counts.offline import Encode, OfflineCounts
from inference.counts.profile import CELLS, FEATURES, Counts, Feature, buyers, empty_profile

WINDOW_MS: Final = 300_000
MAX_STORES: Final = 200
"""Stores kept apart, the largest; the others are in the pooled counts. Bounds reference.json."""

_NEVER_LATE: Final = WindowRule(WINDOW_MS, 2**50)
_ROWS_HELD: Final = 20_000
_FIRST_PART: Final = 12
"""Windows of the first stretch: an hour."""
_LEAST_VOTES: Final = 20
"""A span with fewer votes says too little of how spans vary."""
_LEAST_FREEDOM: Final = 100
_UNMEASURED: Final = 3.0
"""Where the history is too short to say: the default windows of a short span, one vote of a buyer in each."""


class ReferenceCounter:
    """Feed it a history in arrival order, several sources one after the other.

    A history begins with buyers who all look new, because what they did before is not in it; live traffic,
    with the history in the store, does not. So the first quarter to half of the event time only warms
    the states: spans of doubling length are counted apart, and the last two make the reference.
    """

    def __init__(self, encode: Encode) -> None:
        self._recount = OfflineCounts(_NEVER_LATE, encode)
        self._began: int | None = None
        self._parts: dict[int, _Part] = defaultdict(_Part)

    def add(self, events: Sequence[Event]) -> None:
        """Count a batch."""
        self._recount.add(events)
        if len(self._recount) > _ROWS_HELD:
            self.add_windows(self._recount.drain())

    def add_windows(self, counted: Mapping[tuple[int, str, int], Counts]) -> None:
        """Count windows of WINDOW_MS that were counted elsewhere: (partition, store, window) -> counts."""
        if self._began is None and counted:
            self._began = min(window for _, _, window in counted)
        for (_, store, window), counts in counted.items():
            elapsed = max(0, window - (self._began or 0)) // _FIRST_PART
            self._parts[elapsed.bit_length()].add(store, window, counts)

    def reference(self) -> Reference:
        """What was counted until now."""
        self.add_windows(self._recount.drain())
        whole = _Part()
        for number, part in self._parts.items():
            if number >= max(self._parts) - 1:
                whole.merge(part)
        largest = sorted(whole.stores, key=lambda store: -buyers(whole.stores[store]))[:MAX_STORES]
        return Reference(
            pooled=sum(whole.stores.values(), empty_profile()),
            stores={store: whole.stores[store] for store in sorted(largest)},
            dispersion={span: spread.dispersion() for span, spread in whole.spreads.items()},
        )


class _Part:
    """A stretch of the history: counts by store, and how they vary."""

    def __init__(self) -> None:
        self.stores: dict[str, Counts] = defaultdict(empty_profile)
        self.spreads = {span: _Spread(span) for span in SPANS_MS}

    def add(self, store: str, window: int, counts: Counts) -> None:
        self.stores[store] = self.stores[store] + counts
        for spread in self.spreads.values():
            spread.add(store, window * WINDOW_MS, counts)

    def merge(self, other: _Part) -> None:
        for store, counts in other.stores.items():
            self.stores[store] = self.stores[store] + counts
        for span, spread in self.spreads.items():
            spread.merge(other.spreads[span])


class _Spread:
    """Counts of a history cut into spans, store by store.

    Held are the spans that may still grow; of the others, by store, what X2 needs: sum of n_rk^2 / n_r over
    spans r (float64 [CELLS]), the counts of the same spans, and how many spans there were, a feature.
    """

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._open: dict[tuple[str, int], Counts] = defaultdict(empty_profile)
        self.squares: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(CELLS))
        self.sums: dict[str, Counts] = defaultdict(empty_profile)
        self.count: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(len(FEATURES), np.int64))

    def add(self, store: str, at_ms: int, counts: Counts) -> None:
        """Add counts of a window that begins at a time."""
        key = (store, at_ms // self._span_ms)
        self._open[key] = self._open[key] + counts
        if len(self._open) > _ROWS_HELD:
            self._close(sorted(self._open, key=lambda at: at[1])[: _ROWS_HELD // 2])

    def merge(self, other: _Spread) -> None:
        """Take over what another stretch of the history counted."""
        other.close()
        for store, spans in other.count.items():
            self.squares[store] += other.squares[store]
            self.sums[store] = self.sums[store] + other.sums[store]
            self.count[store] += spans

    def dispersion(self) -> dict[str, float]:
        """How much each feature's counts vary, 1 being independent votes; never below 1."""
        self.close()
        return {feature.name: self._of(i, feature) for i, feature in enumerate(FEATURES)}

    def close(self) -> None:
        """No span grows any more."""
        self._close(list(self._open))

    def _close(self, keys: Sequence[tuple[str, int]]) -> None:
        for key in keys:
            counts, store = self._open.pop(key), key[0]
            for i, feature in enumerate(FEATURES):
                mine = counts[feature.cells]
                votes = int(mine.sum())
                if votes >= _LEAST_VOTES:
                    self.squares[store][feature.cells] += mine.astype(np.float64) ** 2 / votes
                    self.sums[store][feature.cells] += mine
                    self.count[store][i] += 1

    def _of(self, i: int, feature: Feature) -> float:
        statistic, freedom = 0.0, 0
        for store, spans in self.count.items():
            sums = self.sums[store][feature.cells]
            met = sums > 0
            freedom += max(0, int(spans[i]) - 1) * max(0, int(met.sum()) - 1)
            # sum over spans of (n_rk - n_r p_k)^2 / (n_r p_k), with p_k = sums / their sum
            squares = self.squares[store][feature.cells][met]
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
