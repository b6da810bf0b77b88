"""Reading ranges of a topic while its leader changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException

from feature_store.errors import TopicError
from feature_store.log.records import LogReader


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
