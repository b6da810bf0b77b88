"""Sliding spans over the windows that the workers counted, read once and merged as they move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from feature_store.online.intake import IntakeCounts
from inference.bundles.reference import SPANS_MS
from inference.counts.profile import TALLY, Counts, empty_profile
from inference.counts.windows import OTHERS, StoreWindow, WindowReader

_STILL_OPEN_MS: Final = 45 * 60_000
"""Late events may still change windows so young: these are read again. More than the allowed lateness."""
_KNOWN: Final = TALLY["known"]
_UNKNOWN: Final = TALLY["unknown"]


class SlidingWindows:
    """Counts of the last few hours, by store, of one codebook version."""

    def __init__(self, reader: WindowReader, intake: IntakeCounts, length_ms: int, version: str) -> None:
        self._reader, self._intake, self.length_ms, self._version = reader, intake, length_ms, version
        self._windows: dict[int, dict[str, Counts]] = {}

    def newest_complete(self) -> int | None:
        """The last window that is over; None before there is one.

        Event time says so. Where nothing that came to the door since is an event, event time stands still
        and the door's clock says so: an installation whose only shop sends names that nobody knows is to be
        seen, not to be waited for.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        newest = self._reader.newest()
        return None if newest is None else self._at_the_door(newest) - 1

    def _at_the_door(self, newest: int) -> int:
        """The window that the door is in, where event time will stay in `newest`; else `newest`.

        Event time stays where no event came for as long as late ones may take. Events that came and are not
        folded yet (a worker is behind) will move it.
        """
        numbers = range(newest + 1, newest + 1 + max(SPANS_MS) // self.length_ms)
        met = {n: stores for n, stores in self._intake.read(numbers).items() if n in numbers}
        last = max(met, default=newest)
        events = [n for n, stores in met.items() if any(items.known for items in stores.values())]
        event = max(events, default=newest)
        wait = _STILL_OPEN_MS // self.length_ms
        return last if last - event >= wait >= event - newest else newest

    def read_up_to(self, last: int) -> None:
        """Read what is not known yet of the windows that spans ending at `last` cover.

        Raises:
            OnlineStoreError, ProfileError: something cannot be read.
        """
        first = last + 1 - max(SPANS_MS) // self.length_ms
        settled = last - _STILL_OPEN_MS // self.length_ms
        known = max(self._windows, default=first - 1)
        start = max(first, min(known + 1, settled))
        self._windows = {n: stores for n, stores in self._windows.items() if first <= n < start}
        for number, found in self._reader.windows(start, last + 1).items():
            self._windows[number] = self._mine(found)
        for number, stores in self._intake.read(range(start, last + 1)).items():
            window = self._windows.setdefault(number, {})
            for store, items in stores.items():
                counts = window.get(store, empty_profile()).copy()
                counts[_KNOWN] += items.known
                counts[_UNKNOWN] += items.unknown
                window[store] = counts

    def live(self, last: int, span_ms: int) -> dict[str | None, Counts]:
        """Counts of the span that ends with window `last`: by store, and of all together as None."""
        merged: dict[str | None, Counts] = {None: empty_profile()}
        for number in range(last + 1 - max(1, span_ms // self.length_ms), last + 1):
            for store, counts in self._windows.get(number, {}).items():
                merged[None] = merged[None] + counts
                if store != OTHERS:
                    merged[store] = merged.get(store, 0) + counts
        return merged

    def of_store(self, last: int, span_ms: int, store: str) -> Counts:
        """Counts of one store in the span that ends with window `last`."""
        numbers = range(last + 1 - max(1, span_ms // self.length_ms), last + 1)
        found = (self._windows.get(number, {}).get(store) for number in numbers)
        return sum((counts for counts in found if counts is not None), empty_profile())

    def _mine(self, found: Mapping[StoreWindow, Counts]) -> dict[str, Counts]:
        return {whose.store: counts for whose, counts in found.items() if whose.version == self._version}
