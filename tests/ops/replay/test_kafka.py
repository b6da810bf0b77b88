"""Replay on a real Kafka: every event arrives, in its partition; each dead letter goes back once."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from feature_store.contract.erasure import ErasureRequest, request_of
from feature_store.contract.events import Event, encode_event, record_key
from feature_store.log.erasure_writer import ErasureWriter
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from ops.replay.dead_letters import DeadLetterReport, replay_dead_letters
from ops.replay.events import AsFastAsPossible, Rate, replay_events
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
    made = admin.create_topics(
        [NewTopic(name, PARTITIONS, 1), NewTopic(f"{name}-dead", 2, 1), NewTopic(f"{name}-erased", 2, 1)]
    )
    for future in made.values():
        future.result(30)
    yield name, f"{name}-dead"
    for future in admin.delete_topics([name, f"{name}-dead", f"{name}-erased"]).values():
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
    whole = dead_letter("key_mismatch", "", topic, 0, 0, encode_event(good(0)), START)
    return [
        whole,
        dead_letter("invalid_field", "", topic, 0, 1, encode_event(good(1)), START),
        dead_letter("malformed_json", "", topic, 0, 2, b"{", START),
        dead_letter("too_large", "", topic, 0, 3, b" " * 70_000 + encode_event(good(3)), START),
        dead_letter("invalid_field", "", "elsewhere", 0, 4, encode_event(good(4)), START),
        DeadLetter(**{name: getattr(whole, name) for name in whole.__struct_fields__} | {"raw_sha256": "0"}),
    ]


def send(config: dict[str, Any], topic: str, values: list[bytes]) -> None:
    output = Output(config, 30.0)
    for number, value in enumerate(values):
        output.send(topic, str(number).encode(), value)
    output.flush()


def replay(config: dict[str, Any], topics: tuple[str, str], **options: Any) -> DeadLetterReport:
    with closing(ErasureLog(config, f"{topics[0]}-erased")) as erasures:
        return replay_dead_letters(
            config,
            options.pop("output", None) or Output(config, 30.0),
            erasures,
            writer(config, topics),
            topic=topics[0],
            dead_letters_topic=topics[1],
            **options,
        )


def writer(config: dict[str, Any], topics: tuple[str, str]) -> ErasureWriter:
    return ErasureWriter(config, topics[0], f"{topics[0]}-erased", 30.0)


def arrived(config: dict[str, Any], topics: tuple[str, str]) -> list[bytes]:
    return sorted(message.value() for message in read_all(config, topics[0]) if message.value())


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
    another = dead_letter("empty", "", topics[0], 0, 9, encode_event(good(9)), START)
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
        replay(config, topics, output=Unacknowledged(config, 1.0))
    assert replay(config, topics).replayed == 1


def test_letters_of_an_erased_buyer_bring_nobody_back(
    config: dict[str, Any], topics: tuple[str, str]
) -> None:
    """Offsets decide in the buyer's own partition; elsewhere, where the request has no place, times."""
    late = 2 * START
    key = record_key("acme", "b1")
    erasure = writer(config, topics).ask({key: ErasureRequest(requested_at=START)})[key]
    elsewhere, own, raw = (erasure.partition + 1) % PARTITIONS, erasure.partition, encode_event(good(1))
    before = [
        dead_letter("invalid_field", "", topics[0], own, 0, raw, late),
        dead_letter("key_mismatch", "", topics[0], elsewhere, 99, raw, START),
        msgspec.structs.replace(
            dead_letter("key_mismatch", "", topics[0], elsewhere, 99, raw, late), created=None
        ),
    ]
    send(config, topics[1], list(map(encode_dead_letter, before)))
    assert replay(config, topics) == DeadLetterReport(read=3, replayed=0, skipped={"erased": 3})
    after = [
        dead_letter("invalid_field", "", topics[0], own, erasure.before_offset, raw, 1),
        dead_letter("key_mismatch", "", topics[0], elsewhere, 0, raw, late),
    ]
    send(config, topics[1], list(map(encode_dead_letter, after)))
    assert replay(config, topics) == DeadLetterReport(read=2, replayed=2, skipped={})


def test_who_is_erased_while_letters_are_on_their_way_is_erased_behind_them(
    config: dict[str, Any], topics: tuple[str, str]
) -> None:
    key = record_key("acme", "b1")

    class Erased(Output):
        """Between the look at the erasures and the letter, somebody asks."""

        def send(self, topic: str, key: bytes | None, value: bytes) -> None:
            writer(config, topics).ask({b"acme|b1": ErasureRequest(requested_at=START, request="r1")})
            super().send(topic, key, value)

    sent = dead_letter("invalid_field", "", topics[0], 0, 0, encode_event(good(1)), START)
    send(config, topics[1], [encode_dead_letter(sent)])
    assert replay(config, topics, output=Erased(config, 30.0)).replayed == 1
    records = [message for message in read_all(config, topics[0]) if message.key() == key]
    assert [request_of(message) is not None for message in records] == [True, False, True]
    with closing(ErasureLog(config, f"{topics[0]}-erased")) as erasures:
        erasures.refresh()
        assert erasures.void_before(key) == records[-1].offset() + 1
