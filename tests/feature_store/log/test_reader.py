"""Reading ranges of a topic: their ends, holes and silence, and a leader that changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from feature_store.errors import TopicError
from feature_store.log.reader import SILENCE_S, LogReader, Ranges, arrived, batches, is_end
from tests.feature_store.log.doubles import Scripted, Told, end


class Leaderless:
    """A client whose broker answers with an error, so many times."""

    def __init__(self, code: int, times: int) -> None:
        self.code, self.left, self.asked_who_leads = code, times, 0

    def get_watermark_offsets(self, _place: object, _timeout: float) -> tuple[int, int]:
        if self.left:
            self.left -= 1
            raise KafkaException(KafkaError(self.code))
        return 3, 7

    def list_topics(self, _topic: str, timeout: float) -> None:
        self.asked_who_leads += 1

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def reader() -> Iterator[LogReader]:
    with LogReader({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}) as reader:
        yield reader


@pytest.mark.parametrize(
    "code",
    [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.FENCED_LEADER_EPOCH],
)
def test_a_partition_without_a_leader_is_asked_for_again(
    reader: LogReader, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    client = Leaderless(code, times=3)
    monkeypatch.setattr(reader, "_consumer", client)
    assert reader.bounds("clicks", 0) == (3, 7)
    assert client.asked_who_leads == 3


def test_what_does_not_pass_is_said_at_once(reader: LogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Leaderless(KafkaError.TOPIC_AUTHORIZATION_FAILED, times=1)
    monkeypatch.setattr(reader, "_consumer", client)
    with pytest.raises(TopicError, match="cannot read clicks"):
        reader.bounds("clicks", 0)
    assert client.asked_who_leads == 0


def ranges(consumer: Scripted, starts: dict[int, int], ends: dict[int, int]) -> Ranges:
    client: Any = consumer
    return Ranges(client, "clicks", starts, ends)


def read(found: Ranges) -> list[tuple[int, int]]:
    return [(message.partition(), message.offset()) for messages in found for message in messages]


def test_a_range_ends_before_its_end_and_what_comes_behind_is_left_out() -> None:
    consumer = Scripted([Told(3), Told(4)], [Told(5), Told(6), Told(7)])
    found = ranges(consumer, {0: 3}, {0: 6})
    assert read(found) == [(0, 3), (0, 4), (0, 5)]
    assert (found.at, found.received, consumer.assigned) == ({0: 6}, 5, {0: 3})


def test_a_hole_ends_a_range_where_its_partition_ends() -> None:
    # Offsets 4 and 5 are a transaction's markers: no record of them ever comes.
    found = ranges(Scripted([Told(3), end(6)]), {0: 3}, {0: 6})
    assert read(found) == [(0, 3)]
    assert found.at == {0: 6}


def test_a_record_behind_the_end_says_that_nothing_is_left_before_it() -> None:
    found = ranges(Scripted([Told(3)], [Told(9)]), {0: 3}, {0: 6})
    assert read(found) == [(0, 3)]
    assert found.at == {0: 6}


def test_each_partition_has_its_own_range_and_one_that_is_done_is_not_asked_for() -> None:
    consumer = Scripted([Told(0, 1), Told(0, 2)], [Told(1, 2), end(2, 2), Told(1, 1)])
    found = ranges(consumer, {0: 5, 1: 0, 2: 0}, {0: 5, 1: 2, 2: 2})
    assert read(found) == [(1, 0), (2, 0), (2, 1), (1, 1)]
    assert consumer.assigned == {1: 0, 2: 0}
    assert found.at == {0: 5, 1: 2, 2: 2}


def test_an_error_in_a_records_place_ends_the_reading() -> None:
    found = ranges(Scripted([Told(3)], [Told(4, code=KafkaError.TOPIC_AUTHORIZATION_FAILED)]), {0: 3}, {0: 6})
    with pytest.raises(TopicError, match="cannot read clicks"):
        read(found)
    assert found.at == {0: 4}


def test_silence_is_borne_for_so_long_and_what_the_caller_does_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    client: Any = Scripted([Told(0)])
    got = batches(client, "clicks", lambda: True, 10)
    assert len(next(got)) == 1
    now[0] += 2 * SILENCE_S  # the caller was busy
    assert next(got) == []
    now[0] += SILENCE_S + 1
    with pytest.raises(TopicError, match="clicks does not answer for 15 s"):
        next(got)


def test_what_arrives_is_records_and_ends_and_passing_errors_are_left_out() -> None:
    client: Any = Scripted([Told(0), Told(1, code=KafkaError._TRANSPORT), Told(1), end(2)])
    found = arrived(client, "clicks", 10, 0.0)
    assert [(message.offset(), is_end(message)) for message in found] == [(0, False), (1, False), (2, True)]
