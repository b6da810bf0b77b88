"""Erasures that the store has not passed yet: the only ones of which a worker has anything to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

from feature_store.contract.erasure import Erasure, decode_erasure
from feature_store.errors import RowVersionError
from feature_store.log.whole_topic import WholeTopic
from feature_store.online.rows import OnlineRows

_NOBODY: Final[Mapping[bytes, Erasure]] = MappingProxyType({})
_UNSETTLED: Final = 1_000
"""Of other workers' partitions so many may wait before the store is asked how far those are."""


def folded_to(rows: OnlineRows, partitions: int) -> dict[int, int]:
    """How far the store has come: a next offset per partition, 0 where nothing is folded.

    A partition whose progress row cannot be read is left out: what it has passed is not known.

    Raises:
        OnlineStoreError: the store did not answer.
    """
    try:
        stored = rows.progress_of(range(partitions))
    except RowVersionError:
        stored = {}
        for number in range(partitions):
            with suppress(RowVersionError):
                stored |= rows.progress_of([number])
    return {number: 0 if at is None else at.next_offset for number, at in stored.items()}


class PendingErasures:
    """The topic of erasures by partition, read once and then onwards. Of the loop's thread.

    Where the store's progress has passed an erasure, its rows went in the same transaction (streams.live.
    checkpoint), and nothing before it is read again: so it is forgotten here. What a partition's progress
    was when that was last done is its floor. A store that went back below it is read for anew.
    """

    def __init__(self, topic: WholeTopic, folded: Callable[[], Mapping[int, int]]) -> None:
        """folded: how far the store has come, a next offset per partition; it may raise OnlineStoreError."""
        self._topic, self._folded = topic, folded
        self._of: dict[int, dict[bytes, Erasure]] = {}
        self._floor: dict[int, int] = {}
        self._news: list[tuple[bytes, Erasure]] = []
        self._room = _UNSETTLED

    def of(self, partition: int) -> Mapping[bytes, Erasure]:
        """The erasures of a partition that its stored progress has not passed."""
        return self._of.get(partition, _NOBODY)

    def void_before(self, partition: int, key: bytes) -> int:
        """Offsets of the key below this one are void; -1 where no erasure of it is pending."""
        erasure = self.of(partition).get(key)
        return -1 if erasure is None else erasure.before_offset

    def floor(self, partition: int) -> int:
        """Erasures below this offset of a partition are forgotten."""
        return self._floor.get(partition, 0)

    def refresh(self) -> None:
        """Know every erasure on the topic that the store has not passed.

        Raises:
            TopicError, OnlineStoreError: Kafka or the store does not answer.
        """
        self._settle()
        for messages in self._topic.to_end():
            self._take(messages)

    def arrived(self) -> list[tuple[bytes, Erasure]]:
        """Take in what has come, without waiting; returns the erasures that were not returned before and
        void more than was known.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        self._take(self._topic.arrived())
        if sum(map(len, self._of.values())) > self._room:
            self._settle()
            self._room = 2 * sum(map(len, self._of.values())) + _UNSETTLED
        news, self._news = self._news, []
        return news

    def add(self, key: bytes, erasure: Erasure) -> bool:
        """Remember an erasure that is not passed; returns whether it voids more than was known."""
        if erasure.before_offset < self._floor.get(erasure.partition, 0):
            return False
        here = self._of.setdefault(erasure.partition, {})
        known = here.get(key)
        if known is not None and known.before_offset >= erasure.before_offset:
            return False
        here[key] = erasure.following(known)
        return True

    def passed(self, partition: int, next_offset: int) -> None:
        """The store's progress of a partition is `next_offset` now: forget what lies below it."""
        self._floor[partition] = next_offset
        here = self._of.get(partition)
        if here:
            left = {key: it for key, it in here.items() if it.before_offset >= next_offset}
            self._of[partition] = left

    def _settle(self) -> None:
        folded = self._folded()
        if any(at < self._floor.get(number, 0) for number, at in folded.items()):
            self._of, self._news = {}, []
            self._topic.restart()
        for number, at in folded.items():
            self.passed(number, at)

    def _take(self, messages: Sequence[Any]) -> None:
        for message in messages:
            if (value := message.value()) is not None:  # a tombstone ends what the store passed long ago
                key, erasure = message.key(), decode_erasure(value)
                if self.add(key, erasure):
                    self._news.append((key, erasure))
