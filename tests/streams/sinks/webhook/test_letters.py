"""What is posted, byte by byte, and which secrets there are."""

from __future__ import annotations

import base64

import msgspec
import pytest

from feature_store.online.assignment import encode_assignment
from streams.errors import SinkError
from streams.sinks.webhook.letters import Item, SegmentIdentify, SignedBatch, make_form, sign
from streams.sinks.webhook.settings import WebhookSettings
from tests.streams.sinks.webhook.feed import assignment
from tests.streams.sinks.webhook.receiver import KEY, SECRET, genuine


class Record:
    """As much of a Kafka message as a letter reads."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def value(self) -> bytes:
        return self._value


def item(number: int) -> Item:
    said = assignment("acme", "9f2c", number)
    return Item(f"0-{number}-{said.assigned_at}", Record(encode_assignment(said)), said)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # Their published example: github.com/standard-webhooks/standard-webhooks, libraries' tests.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    said = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_batch_holds_assignments_as_they_are_on_the_topic() -> None:
    letter = SignedBatch(KEY).write([item(1), item(2)])
    assert genuine(dict(letter.headers), letter.body)
    assert not genuine(dict(letter.headers), letter.body.replace(b"9f2c", b"9f2d"))
    listed = msgspec.json.decode(letter.body)["assignments"]
    assert [one["id"] for one in listed] == ["0-1-1764000000101", "0-2-1764000000102"]
    assert listed[0]["assignment"] == msgspec.to_builtins(item(1).assignment)


def test_the_same_items_have_the_same_id_and_others_another() -> None:
    form = SignedBatch(KEY)
    names = [form.write(items).headers["webhook-id"] for items in ([item(1)], [item(1)], [item(1), item(2)])]
    assert names[0] == names[1] != names[2]


def test_while_secrets_are_exchanged_a_receiver_that_knows_either_is_content() -> None:
    fresh = bytes(range(32, 64))
    second = f"whsec_{base64.b64encode(fresh).decode()}"
    settings = WebhookSettings(url="http://x/", secret=SECRET, second_secret=second)
    letter = make_form(settings).write([item(1)])
    assert genuine(dict(letter.headers), letter.body, KEY)
    assert genuine(dict(letter.headers), letter.body, fresh)
    assert not genuine(dict(letter.headers), letter.body, bytes(32))
    assert len(letter.headers["webhook-signature"].split(" ")) == 2


def test_a_second_secret_has_to_fit_as_well() -> None:
    with pytest.raises(SinkError, match="SIMPERSONA_WEBHOOK_SECOND_SECRET"):
        make_form(WebhookSettings(url="http://x/", secret=SECRET, second_secret="whsec_abc"))
    with pytest.raises(SinkError, match="SIMPERSONA_WEBHOOK_SECOND_SECRET"):
        make_form(WebhookSettings(url="http://x/", secret="wk", second_secret=SECRET, form="segment"))
    unset = make_form(WebhookSettings(url="http://x/", secret=SECRET, second_secret=""))  # as compose has it
    assert " " not in unset.write([item(1)]).headers["webhook-signature"]


def test_segment_gets_identify_calls() -> None:
    letter = SegmentIdentify("wk").write([item(3)])
    assert letter.headers["Authorization"] == f"Basic {base64.b64encode(b'wk:').decode()}"
    (call,) = msgspec.json.decode(letter.body)["batch"]
    assert (call["type"], call["userId"], call["messageId"]) == ("identify", "9f2c", item(3).id)
    assert call["timestamp"] == "2025-11-24T16:00:00.103Z"
    assert call["traits"]["persona_type"] == "comparer"
    assert call["traits"]["persona_code"] == 3


@pytest.mark.parametrize("secret", [None, "", "hunter2", "whsec_abc", "whsec_c2hvcnQ=", "whsec_%%%"])
def test_a_secret_that_does_not_fit_is_refused(secret: str | None) -> None:
    with pytest.raises(SinkError, match="SIMPERSONA_WEBHOOK_SECRET"):
        make_form(WebhookSettings(url="http://x/", secret=secret))
