"""Who has opted out in a partition, and what was assigned to them all the same: as its log says.

The log's records come in order. From before the log, the topic of erasures says who is out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from feature_store.contract.erasure import FOR_EVER, ErasureRequest


class PartitionConsents:
    """Feed it void assignments, then the requests of the log up to the store's next offset."""

    def __init__(self, known: Mapping[bytes, int], ended_before: Callable[[bytes], int], end: int) -> None:
        """known: who is out by the topic of erasures -> the offset after the last request. ended_before: that
        offset of anybody. end: the store's next offset."""
        self._known, self._ended_before, self._end = known, ended_before, end
        self._since: dict[bytes, int] = {}
        self._borders: dict[bytes, int | None] = {}
        self._assigned: dict[bytes, set[int]] = {}
        self.late = 0
        """Assignments of events that lie after a withdrawal; `finish` counts the last of them."""

    def add_assignment(self, key: bytes, offset: int) -> None:
        """Take an assignment that is void. Nothing was wrong with it if it lies before the request."""
        self._assigned.setdefault(key, set()).add(offset)

    def add(self, offset: int, key: bytes, request: ErasureRequest) -> None:
        """Take the next request of the log."""
        if request.consent == "withdrawn":
            self._since.setdefault(key, offset)
        elif request.consent == "given":
            self._count(key, self._since.pop(key, FOR_EVER), offset)
            self._borders[key] = None
        if key in self._since:
            self._borders[key] = offset + 1

    def is_out(self, key: bytes, offset: int) -> bool:
        """Whether a record of the key is of somebody who has opted out; in the order of the log."""
        if key in self._borders:
            return self._borders[key] is not None
        return self._known.get(key, FOR_EVER) <= offset

    def finish(self) -> dict[bytes, bytes]:
        """All requests are added; returns the rows that the store must have, by Kafka key."""
        known = {key: border for key, border in self._known.items() if border <= self._end}
        for key, since in {**known, **self._since}.items():
            self._count(key, since, FOR_EVER)
        found = {key: border for key, border in {**known, **self._borders}.items() if border is not None}
        return {key: b"%d" % border for key, border in found.items()}

    def is_ahead(self, key: bytes) -> bool:
        """Whether a request of the buyer lies beyond the store's next offset: workers obey it as soon as they
        hear of it, so the row may be as before or as after it."""
        return self._ended_before(key) > self._end

    def _count(self, key: bytes, start: int, stop: int) -> None:
        self.late += sum(start <= offset < stop for offset in self._assigned.get(key, ()))
