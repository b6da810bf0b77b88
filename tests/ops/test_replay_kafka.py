"""Replay on a real Kafka: every event arrives, in its partition; each dead letter goes back once."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from feature_store.contract.events import Event, encode_event, record_key
from feature_store.log.producer import Output
from ops.dead_letter_replay import DeadLetterReport, replay_dead_letters
from ops.replay import AsFastAsPossible, Rate, replay_events
from ops.traffic import TrafficConfig, generate
from streams.dead_letters import DeadLetter, dead_letter, encode_dead_letter
from tests.strategies import START, event

pytestmark = pytest.mark.integration
PARTITIONS = 8


@pytest.fixture
def config(kafka: Any) -> dict[str, Any]:
    return {"bootstrap.servers": kafka.bootstrap}


@pytest.fixture
def topics(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A clickstream topic and its dead letters' topic, this test's own."""
    name = f"clicks-{uuid.uuid4().hex[:8]}"
    admin = AdminClient(config)
    made = admin.create_topics([NewTopic(name, PARTITIONS, 1), NewTopic(f"{name}-dead", 2, 1)])
    for future in made.values():
        future.result(30)
    yield name, f"{name}-dead"
    for future in admin.delete_topics([name, f"{name}-dead"]).values():
        future.result(30)


def read_all(config: dict[str, Any], topic: str) -> list[Message]:
    consumer = Consumer({**config, "group.id": "reader", "enable.auto.commit": False})
    everywhere = [TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)]
    wanted = sum(consumer.get_watermark_offsets(here, timeout=30)[1] for here in everywhere)
    consumer.assign(everywhere)
    messages: list[Message] = []
    while len(messages) < wanted:
        messages += consumer.consume(wanted - len(messages), timeout=5)
    consumer.close()
    return messages


def test_every_event_arrives_once_in_its_buyer_s_partition(
    config: dict[str, Any], topics: tuple[str, str]
) -> None:
    batches = list(generate(TrafficConfig(buyers=3_000), 1))
    events = [event for batch in batches for event in batch]
    report = replay_events(
        batches, Output(config, 30.0), topics[0], AsFastAsPossible(), stop=threading.Event()
    )
    assert report.events == len(events)
    messages = read_all(config, topics[0])
    assert Counter(message.value() for message in messages) == Counter(map(encode_event, events))
    home: dict[bytes, int] = {}
    for message in messages:
        assert home.setdefault(message.key(), message.partition()) == message.partition()
    assert set(home) == {record_key(event.store, event.buyer) for event in events}
    assert set(home.values()) == set(range(PARTITIONS))


def test_a_paced_replay_arrives_whole(config: dict[str, Any], topics: tuple[str, str]) -> None:
    events = [event(event_id=f"e{i}", timestamp=START + i) for i in range(300)]
    report = replay_events([events], Output(config, 30.0), topics[0], Rate(1_000), stop=threading.Event())
    assert report.events == len(read_all(config, topics[0])) == 300


def good(number: int) -> Event:
    return event(event_id=f"e{number}", buyer=f"b{number}")


def letters(topic: str) -> list[DeadLetter]:
    """What a worker before a fix may have refused; only the first two are valid events whole."""
    whole = dead_letter("key_mismatch", "", topic, 0, 0, encode_event(good(0)))
    return [
        whole,
        dead_letter("invalid_field", "", topic, 0, 1, encode_event(good(1))),
        dead_letter("malformed_json", "", topic, 0, 2, b"{"),
        dead_letter("too_large", "", topic, 0, 3, b" " * 70_000 + encode_event(good(3))),
        dead_letter("invalid_field", "", "elsewhere", 0, 4, encode_event(good(4))),
        DeadLetter(**{name: getattr(whole, name) for name in whole.__struct_fields__} | {"raw_sha256": "0"}),
    ]


def send(config: dict[str, Any], topic: str, values: list[bytes]) -> None:
    output = Output(config, 30.0)
    for number, value in enumerate(values):
        output.send(topic, str(number).encode(), value)
    output.flush()


def replay(config: dict[str, Any], topics: tuple[str, str], **options: Any) -> DeadLetterReport:
    return replay_dead_letters(
        config, Output(config, 30.0), topic=topics[0], dead_letters_topic=topics[1], **options
    )


def arrived(config: dict[str, Any], topics: tuple[str, str]) -> list[bytes]:
    return sorted(message.value() for message in read_all(config, topics[0]))


def test_each_valid_dead_letter_goes_back_once_and_the_others_are_counted(
    config: dict[str, Any], topics: tuple[str, str]
) -> None:
    send(config, topics[1], [*map(encode_dead_letter, letters(topics[0])), b"not a letter"])
    expected = DeadLetterReport(
        read=7,
        replayed=2,
        skipped={"corrupt": 1, "malformed_json": 1, "not_a_dead_letter": 1, "other_topic": 1, "too_large": 1},
    )
    assert replay(config, topics, dry_run=True) == expected
    assert arrived(config, topics) == []

    assert replay(config, topics) == expected
    assert arrived(config, topics) == [encode_event(good(0)), encode_event(good(1))]
    assert {message.key() for message in read_all(config, topics[0])} == {b"acme|b0", b"acme|b1"}

    assert replay(config, topics) == DeadLetterReport(read=0, replayed=0, skipped={})
    another = dead_letter("empty", "", topics[0], 0, 9, encode_event(good(9)))
    send(config, topics[1], [encode_dead_letter(another)])
    assert replay(config, topics) == DeadLetterReport(read=1, replayed=1, skipped={})
    assert len(arrived(config, topics)) == 3


def test_a_reason_is_replayed_alone_and_not_again_with_the_rest(
    config: dict[str, Any], topics: tuple[str, str]
) -> None:
    send(config, topics[1], list(map(encode_dead_letter, letters(topics[0]))))
    assert replay(config, topics, reason="invalid_field") == DeadLetterReport(
        read=2, replayed=1, skipped={"other_topic": 1}
    )
    assert arrived(config, topics) == [encode_event(good(1))]
    assert replay(config, topics, reason="invalid_field").read == 0
    assert replay(config, topics).read == 4
    assert arrived(config, topics) == [encode_event(good(0)), encode_event(good(1))]
    assert replay(config, topics).read == 0


def test_a_failed_send_leaves_the_letters_for_the_next_run(
    config: dict[str, Any], topics: tuple[str, str]
) -> None:
    send(config, topics[1], [encode_dead_letter(letters(topics[0])[0])])

    class Unacknowledged(Output):
        def flush(self) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        replay_dead_letters(
            config, Unacknowledged(config, 1.0), topic=topics[0], dead_letters_topic=topics[1]
        )
    assert replay(config, topics).replayed == 1
