"""An erasure holds where its request lies in the log: whoever owns the partition, however it is read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from feature_store.contract.erasure import (
    Consent,
    Erasure,
    ErasureRequest,
    decode_erasure,
    encode_erasure,
)
from feature_store.contract.partitions import partition_of
from feature_store.online.encoding import Progress, Tagged
from feature_store.online.rows import Owned
from streams.live.leaving.erasing import Eraser
from streams.live.leaving.opt_outs import OptOuts
from streams.live.partition import Partition
from streams.live.pending import PendingErasures

PARTITIONS = 8
KEY = b"acme|x"
MINE = partition_of(KEY, PARTITIONS)
OTHER = (MINE + 1) % PARTITIONS


class Record:
    """What the code under test asks of a confluent_kafka.Message."""

    def __init__(
        self, offset: int, key: bytes, value: bytes | None = b"{}", headers: Any = None, partition: int = MINE
    ) -> None:
        self.value, self.key, self.offset = (lambda: value), (lambda: key), (lambda: offset)
        self.headers, self.partition = (lambda: headers), (lambda: partition)


def request(
    offset: int,
    key: bytes = KEY,
    at: int = 1_000,
    partition: int = MINE,
    consent: Consent | None = None,
) -> Record:
    headers = ErasureRequest(requested_at=at, consent=consent).headers()
    return Record(offset, key, None, headers, partition)


class Topic:
    """The topic of erasures, as WholeTopic reads it."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.read, self.restarts = 0, 0

    def write(self, key: bytes, before_offset: int, partition: int = MINE) -> None:
        erasure = Erasure(partition=partition, before_offset=before_offset, requested_at=1)
        self.records.append(Record(0, key, encode_erasure(erasure)))

    def restart(self) -> None:
        self.read, self.restarts = 0, self.restarts + 1

    def to_end(self) -> Iterator[list[Record]]:
        yield self.arrived()

    def arrived(self) -> list[Record]:
        new, self.read = self.records[self.read :], len(self.records)
        return new


class Worker:
    """An eraser, what it has sent, and whom it has forgotten."""

    def __init__(self, topic: Topic | None = None, folded: Mapping[int, int] | None = None) -> None:
        self.topic, self.folded = topic or Topic(), dict(folded or {})
        self.sent: list[tuple[bytes, Erasure]] = []
        read: Any = self.topic
        self.pending = PendingErasures(read, lambda: self.folded)
        output, tagger = Mock(), Mock(partition_count=PARTITIONS)
        output.send.side_effect = lambda _topic, key, value: self.sent.append((key, decode_erasure(value)))
        clock = Mock(now_ms=lambda: 5_000)
        self.cache = tagger.cache
        self.opted_out: set[bytes] = set()
        rows = Mock()
        rows.read_opt_outs.side_effect = lambda wanted: {
            number: [b"1" if key in self.opted_out else None for key in keys]
            for number, keys in wanted.items()
        }
        opt_outs = OptOuts(rows, Mock(slots={}))
        self.eraser = Eraser("erasures", output, tagger, self.pending, opt_outs, Mock(), clock)
        self.mine = partition(MINE)

    def honour(self, *records: Record) -> list[int]:
        """Offsets of what is left to be folded."""
        messages: Any = records
        return [message.offset() for message in self.eraser.honour({MINE: self.mine}, messages)]


def partition(number: int, next_offset: int = 0) -> Partition:
    owned = Owned(Progress(next_offset, 1), None, 0)
    return Partition.at(number, owned, Tagged("v1", all_of_them=False))


def test_what_came_before_the_request_is_left_out_and_what_comes_after_is_a_new_life() -> None:
    worker = Worker()
    left = worker.honour(Record(4, KEY), Record(5, b"acme|y"), request(6), Record(7, KEY))
    assert left == [5, 7]
    assert worker.mine.erased == {KEY}
    worker.cache.remove.assert_called_once_with([KEY])
    recorded = Erasure(partition=MINE, before_offset=7, requested_at=1_000, erased_at=5_000)
    assert worker.sent == [(KEY, recorded)]


def test_after_a_withdrawal_nothing_is_folded_until_consent_is_given() -> None:
    worker = Worker()
    assert worker.honour(Record(4, KEY), request(5, consent="withdrawn"), Record(6, KEY)) == []
    assert worker.honour(Record(7, KEY), Record(8, b"acme|y")) == [8]
    assert worker.mine.unwritten_opt_outs == {KEY: b"6"}
    assert worker.honour(Record(9, KEY), request(10, consent="given"), Record(11, KEY)) == [11]
    assert worker.mine.unwritten_opt_outs == {KEY: None}
    assert [erasure.consent for _, erasure in worker.sent] == ["withdrawn", "given"]


def test_the_store_remembers_who_has_opted_out_and_an_erasure_leaves_it_so() -> None:
    worker = Worker()
    worker.mine.has_opt_outs, worker.opted_out = True, {KEY}
    assert worker.honour(Record(4, KEY), Record(5, b"acme|y")) == [5]
    assert worker.honour(request(6), Record(7, KEY)) == []
    assert worker.mine.unwritten_opt_outs == {KEY: b"7"}
    assert [erasure.consent for _, erasure in worker.sent] == ["withdrawn"]


@pytest.mark.parametrize("cut", range(1, 6))
def test_consent_is_the_same_however_the_log_is_cut(cut: int) -> None:
    records = [request(0, consent="withdrawn"), request(1), Record(2, KEY), request(3, consent="given")]
    records += [request(4), Record(5, KEY)]
    worker = Worker()
    assert worker.honour(*records[:cut]) + worker.honour(*records[cut:]) == [5]
    assert worker.mine.unwritten_opt_outs == {KEY: None}


def test_every_owner_finds_the_same_border_however_the_log_is_cut_and_from_wherever_it_is_read() -> None:
    records = [Record(0, KEY), Record(1, b"acme|y"), request(2), Record(3, KEY), request(4, at=2_000)]
    records += [Record(5, KEY), Record(6, b"acme|y")]
    expected = {KEY: Erasure(partition=MINE, before_offset=5, requested_at=2_000, erased_at=5_000)}
    for start, cut in itertools.product(range(4), range(1, 7)):
        worker, left = Worker(), []
        for batch in (records[start:cut], records[cut:]):
            left += worker.honour(*batch)
        assert dict(worker.sent) == expected  # the last word on the topic
        assert {5, 6} <= set(left)
        last = max(request.offset() for request in records if request.value() is None)
        assert not [at for at in left if at > last and records[at].key() == KEY and at < 5]


def test_many_requests_of_a_buyer_in_a_batch_are_one() -> None:
    worker = Worker()
    worker.honour(*[request(offset, at=offset) for offset in range(500)])
    assert [erasure.before_offset for _, erasure in worker.sent] == [500]
    assert worker.cache.remove.call_count == 1


@pytest.mark.parametrize(
    "record",
    [
        Record(0, KEY, None),
        Record(0, KEY, None, [("other", b"1")]),
        Record(0, KEY, None, [("simpersona-erase", b"no JSON")]),
        request(0, key=b"", partition=MINE),
        Record(0, KEY, None, ErasureRequest(requested_at=1).headers(), OTHER),
    ],
    ids=["no header", "another's header", "a broken header", "no key", "another partition"],
)
def test_what_only_looks_like_a_request_erases_nobody_and_is_refused_by_the_tagger(record: Record) -> None:
    worker = Worker()
    messages: Any = [record]
    owned = {MINE: worker.mine, OTHER: partition(OTHER)}
    assert worker.eraser.honour(owned, messages) == [record]
    assert (worker.sent, worker.mine.erased) == ([], set())


def test_a_request_ahead_is_obeyed_as_soon_as_its_topic_tells() -> None:
    """Worker behind, request at offset 99: rows go now, and the backlog on the way to it is left out."""
    worker = Worker(folded={MINE: 10})
    worker.pending.refresh()
    worker.topic.write(KEY, before_offset=100)
    worker.eraser.catch_up({MINE: worker.mine})
    assert worker.mine.erased == {KEY}
    assert worker.honour(Record(10, KEY), Record(11, b"acme|y"), Record(99, b"acme|y"), Record(100, KEY)) == [
        11,
        99,
        100,
    ]


def test_an_erasure_that_the_checkpoint_passed_is_forgotten() -> None:
    worker = Worker()
    worker.honour(request(6))
    worker.mine.next_offset, worker.mine.written = 7, Progress(7, 1)
    worker.eraser.settle({MINE: worker.mine})
    assert dict(worker.pending.of(MINE)) == {KEY: worker.sent[0][1]}  # equal: its rows may be there still
    worker.mine.written = Progress(8, 1)
    worker.eraser.settle({MINE: worker.mine})
    assert dict(worker.pending.of(MINE)) == {}


def test_a_takeover_knows_the_few_that_are_pending_and_reads_the_rest_once() -> None:
    worker = Worker(folded=dict.fromkeys(range(PARTITIONS), 50))
    for number in range(1_000):
        worker.topic.write(b"acme|%d" % number, before_offset=number % 50, partition=number % PARTITIONS)
    worker.topic.write(KEY, before_offset=51)
    worker.pending.refresh()
    assert {number: set(worker.pending.of(number)) for number in range(PARTITIONS)} == {
        number: {KEY} if number == MINE else set() for number in range(PARTITIONS)
    }
    worker.pending.refresh()
    assert worker.topic.restarts == 0


def test_a_store_that_went_back_finds_the_erasures_that_it_had_passed() -> None:
    worker = Worker(folded={MINE: 50})
    worker.topic.write(KEY, before_offset=20)
    worker.pending.refresh()
    assert not worker.pending.of(MINE)
    worker.folded = {MINE: 5}  # a restored backup
    worker.pending.refresh()
    assert worker.pending.void_before(MINE, KEY) == 20


def test_what_a_refresh_reads_of_a_partition_that_is_ours_already_is_obeyed_too() -> None:
    worker = Worker()
    worker.pending.refresh()
    worker.topic.write(KEY, before_offset=100)
    worker.pending.refresh()  # another partition is taken over
    worker.eraser.catch_up({MINE: worker.mine})
    assert worker.mine.erased == {KEY}


def test_erasures_of_other_workers_partitions_do_not_pile_up() -> None:
    worker = Worker()
    worker.pending.refresh()
    for number in range(5_000):
        worker.topic.write(b"acme|%d" % number, before_offset=number, partition=OTHER)
        if number % 500 == 499:
            worker.folded = {OTHER: number + 1}
            worker.eraser.catch_up({MINE: worker.mine})
    assert len(worker.pending.of(OTHER)) <= 1_500


def test_a_record_says_when_it_was_obeyed_and_none_says_it_waits() -> None:
    early = Erasure(partition=1, before_offset=3, requested_at=5)
    assert early.erased_at is None
    old_release = b'{"partition":1,"before_offset":3,"requested_at":5,"erased_at":6}'
    assert decode_erasure(old_release) == msgspec.structs.replace(early, erased_at=6)
    assert msgspec.structs.replace(early, erased_at=6).rank > early.rank
