"""Erasures that wait for a worker, by store: so that one store's flood of them has an end."""

from __future__ import annotations

from collections.abc import Iterable

from feature_store.contract.erasure import Erasures


class PendingErasures:
    """Buyers whose erasure is on its topic and was not come to. Of the event loop's thread."""

    def __init__(self) -> None:
        self._of: dict[bytes, set[bytes]] = {}

    def look(self, keys: Iterable[bytes], erasures: Erasures) -> None:
        """See anew whether these buyers' erasures wait."""
        for key in keys:
            erasure, store = erasures.by_key.get(key), key.partition(b"|")[0]
            if erasure is not None and erasure.erased_at is None:
                self._of.setdefault(store, set()).add(key)
            elif (waiting := self._of.get(store)) is not None:
                waiting.discard(key)

    def has_room(self, store: str, key: bytes, most: int) -> bool:
        """Whether another erasure of the store may wait; one of a buyer whose erasure waits needs no room."""
        waiting = self._of.get(store.encode(), ())
        return key in waiting or len(waiting) < most
