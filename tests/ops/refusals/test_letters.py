"""Dead letters on a real Kafka: by reason, field and store, without those of erased buyers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient, NewTopic

from feature_store.contract.erasure import Erasure, Erasures, encode_erasure
from feature_store.contract.events import encode_event, record_key
from feature_store.errors import TopicError
from feature_store.log.producer import Output
from ops.cli.files.events import events
from ops.refusals.letters import LetterTally, read_letters
from ops.stack.kafka import Kafka
from streams.dead_letters import dead_letter, encode_dead_letter
from tests.strategies import START, event

pytestmark = pytest.mark.integration


@pytest.fixture
def config(kafka: Kafka) -> dict[str, Any]:
    return {"bootstrap.servers": kafka.bootstrap}


@pytest.fixture
def topic(config: dict[str, Any]) -> Iterator[str]:
    """A topic of dead letters and one of erasures, this test's own."""
    name = f"letters-{uuid.uuid4().hex[:8]}"
    admin = AdminClient(config)
    for future in admin.create_topics([NewTopic(name, 2, 1), NewTopic(f"{name}-erased", 1, 1)]).values():
        future.result(30)
    yield name
    for future in admin.delete_topics([name, f"{name}-erased"]).values():
        future.result(30)


def record(**fields: Any) -> bytes:
    return json.dumps(msgspec.to_builtins(event()) | fields).encode()


def write(config: dict[str, Any], topic: str, *letters: tuple[str, str, bytes]) -> None:
    output = Output(config, 30.0)
    for offset, (reason, detail, raw) in enumerate(letters):
        letter = dead_letter(reason, detail, "clickstream", 0, offset, raw, START)
        output.send(topic, b"%d" % offset, encode_dead_letter(letter))
    output.flush()


LETTERS = [
    ("invalid_field", "Expected `float`, got `str` - at `$.price`", record(buyer="ann", price="12 EUR")),
    ("invalid_field", "Expected `float`, got `str` - at `$.price`", record(buyer="bob", price="13 EUR")),
    ("invalid_field", "Invalid enum value 'wishlist' - at `$.type`", record(store="other", type="wishlist")),
    ("malformed_json", "JSON is malformed", b'{"buyer": "ann'),
]


def found(tally: LetterTally) -> dict[tuple[str, str | None, str | None], int]:
    return {(group.reason, group.field, group.store): group.count for group in tally.groups}


def test_letters_are_counted_by_reason_field_and_store(config: dict[str, Any], topic: str) -> None:
    write(config, topic, *LETTERS)
    tally = read_letters(config, topic, Erasures(), since=0)
    assert found(tally) == {
        ("invalid_field", "price", "acme"): 2,
        ("invalid_field", "type", "other"): 1,
        ("malformed_json", None, None): 1,
    }
    shown = json.dumps(msgspec.to_builtins(tally))
    assert not any(word in shown for word in ("ann", "bob", "wishlist", "12 EUR"))
    of_acme = read_letters(config, topic, Erasures(), since=0, store="acme")
    assert found(of_acme) == {("invalid_field", "price", "acme"): 2}
    last = max(group.last for group in tally.groups)
    assert read_letters(config, topic, Erasures(), since=last + 1).groups == []
    assert read_letters(config, topic, Erasures(), since=0, newest=1).older == 2


def test_a_letter_of_an_erased_buyer_is_left_out(config: dict[str, Any], topic: str) -> None:
    write(config, topic, *LETTERS)
    erasures = Erasures()
    erasures.add(record_key("acme", "ann"), Erasure(partition=0, before_offset=1, requested_at=START))
    tally = read_letters(config, topic, erasures, since=0, store="acme")
    assert (found(tally), tally.erased) == ({("invalid_field", "price", "acme"): 1}, 1)


def test_the_command_shows_them(config: dict[str, Any], topic: str) -> None:
    write(config, topic, *LETTERS, ("key_mismatch", "the record's key is not its own", encode_event(event())))
    erased = Erasure(partition=0, before_offset=1, requested_at=START)
    output = Output(config, 30.0)
    output.send(f"{topic}-erased", record_key("acme", "ann"), encode_erasure(erased))
    output.flush()
    environment = {
        "SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS": config["bootstrap.servers"],
        "SIMPERSONA_DEAD_LETTERS_TOPIC": topic,
        "SIMPERSONA_ERASURES_TOPIC": f"{topic}-erased",
    }
    run = partial(CliRunner().invoke, events, env=environment, catch_exceptions=False)
    shown = run(["dead-letters", "--since", "2020-01-01"]).stdout
    assert "4 dead letters since 2020-01-01" in shown
    assert "1 invalid_field, field price, store acme" in shown
    assert '"price":"99 AAA"' in shown
    told = json.loads(run(["dead-letters", "--since", "30m", "--store", "other", "--json"]).stdout)
    assert [(group["reason"], group["field"], group["count"]) for group in told["groups"]] == [
        ("invalid_field", "type", 1)
    ]


def test_a_topic_that_is_not_there(config: dict[str, Any]) -> None:
    with pytest.raises(TopicError, match="no topic"):
        read_letters(config, f"none-{uuid.uuid4().hex}", Erasures(), since=0)


@pytest.mark.parametrize("since", ["yesterday", "3w", ""])
def test_a_time_that_is_none(since: str) -> None:
    assert CliRunner().invoke(events, ["dead-letters", "--since", since]).exit_code == 2
