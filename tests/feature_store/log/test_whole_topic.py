"""A topic read whole: nothing that was taken from the client is lost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import KafkaError

from feature_store.errors import TopicError
from feature_store.log import whole_topic
from feature_store.log.whole_topic import WholeTopic
from tests.feature_store.log.doubles import Scripted, Told, end

TROUBLE = KafkaError.TOPIC_AUTHORIZATION_FAILED


def topic(monkeypatch: pytest.MonkeyPatch, ends: dict[int, int], *given: list[Told]) -> WholeTopic:
    """A WholeTopic over a scripted consumer; `ends` may be changed afterwards."""

    def asked(_config: object, _topic: str, partitions: Sequence[int]) -> dict[int, int]:
        return {number: ends[number] for number in partitions}

    monkeypatch.setattr(whole_topic, "partition_count", lambda _config, _topic: len(ends))
    monkeypatch.setattr(whole_topic, "end_offsets", asked)
    monkeypatch.setattr(whole_topic, "lone_consumer", lambda _config, _name: Scripted(*given))
    return WholeTopic({}, "erasures")


def offsets(messages: Sequence[Any]) -> list[int]:
    return [message.offset() for message in messages]


def test_records_beside_an_error_are_given_before_it_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(topic(monkeypatch, {0: 3}, [Told(0), Told(1, code=TROUBLE), Told(1)], [Told(2)])) as whole:
        reading = whole.to_end()
        assert offsets(next(reading)) == [0, 1]
        with pytest.raises(TopicError, match="cannot read erasures"):
            next(reading)
        assert [offsets(messages) for messages in whole.to_end()] == [[2]]


def test_records_beside_an_error_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(topic(monkeypatch, {0: 1}, [Told(0)], [Told(1), Told(2, code=TROUBLE), Told(2)])) as whole:
        assert [offsets(messages) for messages in whole.to_end()] == [[0]]
        assert offsets(whole.arrived()) == [1, 2]


def test_an_end_from_before_the_question_is_not_the_end_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = {0: 1}
    with closing(topic(monkeypatch, ends, [Told(0)], [end(1), Told(1)])) as whole:
        assert [offsets(messages) for messages in whole.to_end()] == [[0]]
        ends[0] = 2
        assert [offsets(messages) for messages in whole.to_end()] == [[1]]


def test_what_was_compacted_away_before_the_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(topic(monkeypatch, {0: 9}, [Told(3), end(9)])) as whole:
        assert [offsets(messages) for messages in whole.to_end()] == [[3]]
