"""How many events of a file repeat an earlier one, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

import xxhash

from feature_store.contract.events import Event

REMEMBERED: Final = 100_000


class RepeatCounter:
    """Counts events with the (store, buyer, event_id) of one of the last REMEMBERED distinct ones."""

    def __init__(self) -> None:
        self.repeated = 0
        self._recent: dict[int, None] = {}  # 64-bit hashes in order of arrival

    def add(self, events: Iterable[Event]) -> None:
        """Count the repeats among the next events of the file."""
        for event in events:
            key = xxhash.xxh3_64_intdigest(f"{event.store}\0{event.buyer}\0{event.event_id}".encode())
            if key in self._recent:
                self.repeated += 1
            else:
                self._recent[key] = None
        for key in list(islice(self._recent, max(len(self._recent) - REMEMBERED, 0))):
            del self._recent[key]
