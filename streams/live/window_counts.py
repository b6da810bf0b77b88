"""A worker's counts of its live traffic: rows in memory until the checkpoint, in the fenced transaction.

Counts are kept a (partition, store, window) and overwritten whole, like every row of the partition: what
the store holds belongs to the offset that the store holds, so the counts are exact whatever dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vectors import Steps
from feature_store.online.changes import Sent
from feature_store.online.fence import Windows as WindowRows
from feature_store.online.rows import OnlineRows
from inference.counts.counting import (
    Arrivals,
    BuyersBefore,
    Key,
    ProfileTable,
    WindowRule,
    buyers_before,
    count,
    group,
    watermarks,
)
from inference.counts.profile import TALLY, pack_profile, unpack_profile
from inference.counts.windows import OTHERS, StoreWindow, WindowSettings
from inference.encoders.encoder import Encoding
from streams.live.cache import BuyerCache
from streams.live.partition import Partition
from streams.live.unreadable_rows.naming import naming

_MOST_NUMBERS: Final = 2**16 - 1_000  # a key packs one into 16 bits; room stays for every version's OTHERS
_REFUSED: Final = TALLY["refused"]


class Counting(NamedTuple):
    """A batch that is to be counted: its buyers before it, its events, the watermark at each (int64 [n])."""

    was: BuyersBefore
    arrivals: Arrivals
    watermark: NDArray[np.int64]


class WindowCounts:
    """Counts of the partitions that the worker owns. `forget` a partition when its cache is dropped."""

    def __init__(self, settings: WindowSettings, lateness_ms: int, rows: OnlineRows, version: str) -> None:
        self._windows = WindowRule(settings.length_ms, lateness_ms)
        self._most_stores, self._rows = settings.window_stores, rows
        self._keep_s = round(settings.window_hours * 3600)
        self._table = ProfileTable()
        self._dirty: dict[int, set[Key]] = {}
        self._stores: list[StoreWindow] = []  # by store number
        self._numbers: dict[StoreWindow, int] = {}
        self._known: dict[tuple[int, int], int] = {}
        """(partition, window) in memory -> its rows under the present version."""
        self._since: dict[int, int] = {}
        """Partition -> window of its watermark when it came: later ones cannot be in the store yet."""
        self.use(version)

    def use(self, version: str) -> None:
        """Count under this codebook version from the next batch on, in rows of their own."""
        self._version = version
        self._others = self._number(StoreWindow(version, OTHERS))
        self._known = dict.fromkeys(self._known, 0)
        for partition, store, window in self._table.row:
            self._known[partition, window] += self._stores[store].version == version

    def begin(
        self,
        owned: Mapping[int, Partition],
        cache: BuyerCache,
        version: np.uint32,
        arrivals: Arrivals,
    ) -> Counting:
        """Note a batch before it is folded and before it moves the watermarks.

        version: of the codebook that counts now (Champion.version).
        """
        was = buyers_before(
            cache.states,
            arrivals.slots,
            lambda at: (cache.is_counted(version, at), *cache.sent(at)[:, :3].T),
        )
        return Counting(was, arrivals, self._watermarks(owned, arrivals.partition, arrivals.time))

    def count(self, begun: Counting, steps: Steps, encoding: Encoding, sent: Sent) -> None:
        """Count the batch, now folded and encoded. sent: what was sent last after each step, int16 [k, 5].

        Raises:
            UnreadableRowError: windows that another owner began cannot be read.
            OnlineStoreError: the store did not answer.
        """
        count(
            self._rows_of,
            self._windows,
            begun.was,
            begun.arrivals,
            begun.watermark,
            steps,
            encoding,
            sent,
        )

    def refuse(
        self,
        owned: Mapping[int, Partition],
        refused: Sequence[tuple[int, int]],
        partition: NDArray[np.int64],
        time: NDArray[np.int64],
    ) -> None:
        """Count refused records, (partition, accepted events of the batch before it) each.

        They count where event time is in their partition: their own store and time are not to be trusted.
        partition and time (ms), int64 [n]: of the accepted events.
        """
        for number in {number for number, _ in refused}:
            mine = np.flatnonzero(partition == number)
            start = self._watermarks(owned, np.array([number]), np.zeros(1, np.int64))
            marks = np.maximum.accumulate(np.concatenate([start, time[mine]]))
            places = np.searchsorted(mine, [place for other, place in refused if other == number])
            windows, counted = np.unique(marks[places] // self._windows.length_ms, return_counts=True)
            counts, rows = self._rows_of([(number, self._others, window) for window in windows.tolist()])
            counts[rows, _REFUSED] += counted.astype(np.int32)

    def number_of(self, stores: Sequence[str]) -> NDArray[np.int64]:
        """The stores' numbers, int64 [n]."""
        numbers = {store: self._number(StoreWindow(self._version, store)) for store in set(stores)}
        return np.fromiter(map(numbers.__getitem__, stores), np.int64, len(stores))

    # ---- rows

    def _watermarks(
        self, owned: Mapping[int, Partition], partition: NDArray[np.int64], time: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        for number in group(partition)[0].tolist():
            self._since.setdefault(number, owned[number].watermark // self._windows.length_ms)
        return watermarks(partition, time, lambda number: owned[number].watermark)

    def _number(self, whose: StoreWindow) -> int:
        number = self._numbers.get(whose)
        if number is None:
            if len(self._stores) >= _MOST_NUMBERS and whose.store != OTHERS:
                return self._others
            number = self._numbers[whose] = len(self._stores)
            self._stores.append(whose)
        return number

    def _rows_of(self, keys: Sequence[Key]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        self._take_over({(partition, window) for partition, _, window in keys})
        found = np.empty(len(keys), dtype=np.int64)
        for i, key in enumerate(keys):
            partition, _, window = key
            if key not in self._table.row:
                if self._known[partition, window] >= self._most_stores:
                    key = (partition, self._others, window)  # noqa: PLW2901
                else:
                    self._known[partition, window] += 1
            found[i] = self._table.row[key] if key in self._table.row else self._table.add(key)
            self._dirty.setdefault(partition, set()).add(key)
        return self._table.counts, found

    def _take_over(self, wanted: set[tuple[int, int]]) -> None:
        """Read what the store holds of windows that are not in memory yet."""
        for partition, window in sorted(wanted - self._known.keys()):
            self._known[partition, window] = 0
            if window > self._since[partition]:
                continue
            stored = self._rows.read_windows([partition], self._windows.length_ms, [window])
            for field, packed in stored.get(window, []):
                with naming(partition, "row of window counts"):
                    whose, read = StoreWindow.from_field(field), unpack_profile(packed)
                counts, row = self._table.rows([(partition, self._number(whose), window)])
                counts[row[0]] += read.astype(np.int32)
                self._known[partition, window] += whose.version == self._version

    # ---- checkpoint

    def dirty(self, partition: int) -> WindowRows:
        """A partition's rows that the store does not have yet."""
        changed: dict[int, dict[bytes, bytes]] = {}
        for key in sorted(self._dirty.get(partition, ())):
            start = key[2] * self._windows.length_ms
            packed = pack_profile(self._table.counts[self._table.row[key]])
            changed.setdefault(start, {})[self._stores[key[1]].to_field()] = packed
        return WindowRows(self._windows.length_ms, self._keep_s, changed)

    def written(self, partition: int, watermark: int) -> None:
        """The store has a partition's rows; forget the windows that no event can change any more."""
        self._dirty.pop(partition, None)
        first_open = (watermark - self._windows.lateness_ms) // self._windows.length_ms
        for at in [at for at in self._known if at[0] == partition and at[1] < first_open]:
            del self._known[at]
        for key in [key for key in self._table.row if key[0] == partition and key[2] < first_open]:
            self._table.remove(key)

    def forget(self, partition: int) -> None:
        """Drop a partition's counts, written or not: the store is the truth."""
        for key in [key for key in self._table.row if key[0] == partition]:
            self._table.remove(key)
        for at in [at for at in self._known if at[0] == partition]:
            del self._known[at]
        self._since.pop(partition, None)
        self._dirty.pop(partition, None)
