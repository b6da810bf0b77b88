"""Which shoppers are on the screen: some of the last ones tagged, each long enough to be read."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from feature_store.online.assignment import Assignment

_READABLE_S: Final = 3.0
"""A row keeps its shopper at least so long: a plain tail of hundreds of tags per second cannot be read."""
_FRESH_S: Final = 1.0
_WAITING: Final = 100
"""So many of the last shoppers tagged may come next."""

Key = tuple[str, str]
"""(store, buyer)."""


@dataclass
class Shopper:
    """A row: the last assignment, the funnel stage once it is known, and when both were (s, monotonic)."""

    assignment: Assignment
    since: float
    tagged: float
    stage: str = ""

    @property
    def key(self) -> Key:
        """Who it is."""
        return self.assignment.store, self.assignment.buyer


class ShownShoppers:
    """A fixed number of rows; a newly tagged shopper takes the row that was shown longest.

    Of those who wait, the one with most events comes first: a newcomer has no funnel to show yet.
    """

    def __init__(self, rows: int) -> None:
        self.rows: list[Shopper] = []
        self._size = rows
        self._waiting: OrderedDict[Key, Assignment] = OrderedDict()

    def add(self, assignment: Assignment, now: float) -> None:
        """Note an assignment: a shopper on the screen changes in place, another waits for a row."""
        key = (assignment.store, assignment.buyer)
        for row in self.rows:
            if row.key == key:
                row.assignment, row.tagged = assignment, now
                return
        self._waiting[key] = assignment
        self._waiting.move_to_end(key)
        if len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)

    def turn(self, now: float) -> None:
        """Give rows to those who wait."""
        while self._waiting and len(self.rows) < self._size:
            self.rows.append(self._next(now))
        longest = sorted(range(len(self.rows)), key=lambda i: self.rows[i].since)
        for i in longest:
            if not self._waiting or now - self.rows[i].since < _READABLE_S:
                break
            self.rows[i] = self._next(now)

    def is_fresh(self, row: Shopper, now: float) -> bool:
        """Whether a row was tagged just now."""
        return now - row.tagged < _FRESH_S

    def _next(self, now: float) -> Shopper:
        key = max(self._waiting, key=lambda key: self._waiting[key].events)
        return Shopper(self._waiting.pop(key), since=now, tagged=now)
