"""When an erasure is honoured: by the owner of the buyer's partition, once, and behind the fence."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from feature_store.contract.erasure import Erasure, decode_erasure
from feature_store.contract.partitions import partition_of
from feature_store.errors import FencedError
from feature_store.online.encoding import Progress, Tagged
from feature_store.online.rows import Owned
from streams.live.clock import SystemClock
from streams.live.erasing import Eraser
from streams.live.partition import Partition

PARTITIONS = 8
KEY = b"acme|x"
MINE = partition_of(KEY, PARTITIONS)


class Log:
    """Erasures and what was done about them, in order."""

    def __init__(self) -> None:
        self.by_key: dict[bytes, Erasure] = {}
        self.steps: list[str] = []

    def add(self, key: bytes, erasure: Erasure) -> None:
        self.steps.append("remember")
        self.by_key[key] = erasure

    def eraser(self) -> Eraser:
        output, tagger = Mock(), Mock(partition_count=PARTITIONS)
        output.send.side_effect = self._sent
        output.flush.side_effect = lambda: self.steps.append("acknowledged")
        tagger.cache.remove.side_effect = lambda keys: self.steps.append("forget")
        log: Any = self
        return Eraser("erasures", output, tagger, log, SystemClock())

    def checkpoint(self) -> None:
        self.steps.append("checkpoint")

    def _sent(self, topic: str, key: bytes, value: bytes) -> None:
        assert (topic, key) == ("erasures", KEY)
        assert decode_erasure(value).before_offset == 40
        self.steps.append("send")


def partition(number: int) -> Partition:
    return Partition.at(number, Owned(Progress(40, 1), None, 0), Tagged("v1", all_of_them=False))


def test_a_request_waits_for_the_partition_and_is_honoured_once() -> None:
    log = Log()
    eraser, mine, other = log.eraser(), partition(MINE), partition((MINE + 1) % PARTITIONS)
    eraser.request(KEY, 1_000)
    eraser.honour({other.number: other}, log.checkpoint)
    assert log.steps == []
    for _ in range(2):  # a worker that starts hears all requests again
        eraser.honour({mine.number: mine, other.number: other}, log.checkpoint)
        eraser.request(KEY, 1_000)
    assert log.steps == ["checkpoint", "send", "acknowledged", "remember", "forget", "checkpoint"]
    assert (mine.erased, other.erased) == ([KEY], [])


def test_a_later_request_is_another_erasure() -> None:
    log = Log()
    eraser, mine = log.eraser(), partition(MINE)
    for requested_at in (1_000, 2_000):
        eraser.request(KEY, requested_at)
        eraser.honour({mine.number: mine}, log.checkpoint)
    assert log.steps.count("send") == 2
    assert log.by_key[KEY].requested_at == 2_000


def test_who_lost_the_partition_erases_nothing_and_keeps_the_request() -> None:
    log = Log()
    eraser, mine = log.eraser(), partition(MINE)
    eraser.request(KEY, 1_000)

    def fenced() -> None:
        raise FencedError("another owner wrote")

    with pytest.raises(FencedError):
        eraser.honour({mine.number: mine}, fenced)
    assert log.steps == []
    assert mine.erased == []
    eraser.honour({mine.number: mine}, log.checkpoint)
    assert mine.erased == [KEY]
