"""Who was erased, as a topic tells that is compacted, read late, and written by several."""

from __future__ import annotations

from typing import Any

import msgspec

from feature_store.contract.erasure import (
    FOR_EVER,
    Erasure,
    ErasureRequest,
    Erasures,
    Remainder,
    encode_erasure,
    in_words,
    request_of,
)

KEY = b"acme|x"
FIRST = Erasure(partition=1, before_offset=10, requested_at=100)
SECOND = Erasure(partition=1, before_offset=20, requested_at=200)


class Record:
    """What the code under test asks of a confluent_kafka.Message."""

    def __init__(self, value: bytes | None, headers: Any = None) -> None:
        self.key, self.value, self.headers = (lambda: KEY), (lambda: value), (lambda: headers)


def record(erasure: Erasure) -> Record:
    return Record(encode_erasure(erasure))


def tombstone(erasure: Erasure) -> Record:
    return Record(None, erasure.trim_headers())


def test_of_two_erasures_the_one_that_voids_more_holds_in_whatever_order_they_come() -> None:
    for records in ([record(FIRST), record(SECOND)], [record(SECOND), record(FIRST)]):
        erasures = Erasures()
        assert erasures.take(records) == {KEY: SECOND}
        assert erasures.void_before(KEY) == 20
        assert erasures.void_before(b"acme|y") == -1


def test_that_an_erasure_was_obeyed_is_no_news_and_is_remembered() -> None:
    erasures = Erasures()
    erasures.take([record(FIRST)])
    obeyed = msgspec.structs.replace(FIRST, erased_at=5)
    assert erasures.take([record(obeyed), record(FIRST)]) == {}
    assert erasures.by_key[KEY] == obeyed


def test_a_tombstone_ends_the_erasure_it_was_written_for() -> None:
    erasures = Erasures()
    erasures.take([record(FIRST), tombstone(FIRST)])
    assert (erasures.by_key, erasures.overwritten) == ({}, {})


def test_a_tombstone_ends_no_later_erasure_and_that_one_is_to_be_written_again() -> None:
    erasures = Erasures()
    erasures.take([record(FIRST), record(SECOND), tombstone(FIRST)])
    assert erasures.by_key == erasures.overwritten == {KEY: SECOND}
    erasures.take([record(SECOND)])
    assert (erasures.by_key, erasures.overwritten) == ({KEY: SECOND}, {})


def test_a_request_is_known_by_its_header_and_only_without_a_value() -> None:
    asked = ErasureRequest(requested_at=7, request="r1")
    assert request_of(Record(None, asked.headers())) == asked
    assert request_of(Record(b"{}", asked.headers())) is None
    assert request_of(Record(None, [("simpersona-erase", b"{}")])) is None
    assert request_of(Record(None)) is None
    assert asked.at(3, 41) == Erasure(partition=3, before_offset=42, requested_at=7, request="r1")


OUT = Erasure(partition=1, before_offset=10, requested_at=100, consent="withdrawn")
BACK = Erasure(partition=1, before_offset=30, requested_at=300, consent="given")


def test_who_has_opted_out_stays_so_until_consent_is_given() -> None:
    erasures = Erasures()
    assert erasures.take([record(OUT)]) == {KEY: OUT}
    assert erasures.void_before(KEY) == FOR_EVER
    assert (erasures.ended_before(KEY), erasures.opted_out(1), erasures.opted_out(2)) == (10, {KEY: 10}, {})
    erasures.take([record(SECOND)])  # of somebody who only erases
    assert (erasures.void_before(KEY), erasures.opted_out(1)) == (FOR_EVER, {KEY: 20})
    assert erasures.take([record(BACK)]) == {KEY: BACK}
    assert (erasures.void_before(KEY), erasures.opted_out(1)) == (30, {})


def test_the_worker_knows_whether_consent_was_given_before_an_erasure() -> None:
    erasures = Erasures()
    erasures.take([record(OUT), record(msgspec.structs.replace(SECOND, erased_at=5))])
    assert erasures.void_before(KEY) == 20


def test_a_record_that_comes_late_is_no_word_against_a_later_one_and_that_is_to_be_written_again() -> None:
    erasures = Erasures()
    erasures.take([record(BACK), record(OUT)])
    assert erasures.by_key == erasures.overwritten == {KEY: BACK}
    erasures.take([record(BACK)])
    assert erasures.overwritten == {}


def test_what_is_left_reads_as_a_text() -> None:
    left = [Remainder("topic a", 1_763_900_000_123, "records"), Remainder("archive", None, "events")]
    assert in_words(left) == "topic a, until 2025-11-23 12:13 UTC: records. archive, without a time: events."
