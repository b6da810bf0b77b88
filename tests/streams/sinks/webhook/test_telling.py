"""Receivers are told of erasures: signed, after what they void, at least once, by whoever has the buyer."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

import pytest

from ops.stack.kafka import Kafka
from tests.streams.sinks.webhook.feed import Feed
from tests.streams.sinks.webhook.receiver import TAKEN, Reply, receiving
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
BUYERS = [f"{number:016x}" for number in range(4)]


@pytest.fixture
def feed(kafka: Kafka, tmp_path: Path) -> Feed:
    return Feed(kafka, tmp_path)


def story(bodies: list[dict[str, Any]], buyer: str) -> list[str]:
    """What a receiver heard of a buyer, in order."""
    heard = []
    for body in bodies:
        heard += [
            str(it["assignment"]["events"])
            for it in body["assignments"]
            if it["assignment"]["buyer"] == buyer
        ]
        heard += [
            f"erased before {it['erasure']['before_offset']}"
            for it in body.get("erasures", ())
            if it["erasure"]["buyer"] == buyer
        ]
    return heard


def test_an_erasure_is_told_once_and_signed(feed: Feed) -> None:
    feed.assign(8, buyers=4)
    with receiving() as (url, receiver):
        feed.deliver(url)
        feed.erase(BUYERS[1], 100)
        told = feed.deliver(url)
        feed.erase(BUYERS[1], 100, done=True)
        again = feed.deliver(url)
    assert (told.erasures, told.assignments, again.erasures) == (1, 0, 1)  # once more, when it was honoured
    name, erasure = receiver.erased[0]
    assert {name} == {name for name, _ in receiver.erased}
    assert erasure | {"partition": 0} == {
        "store": "acme",
        "buyer": BUYERS[1],
        "partition": 0,
        "before_offset": 100,
        "requested_at": 1,
    }
    assert story(receiver.bodies, BUYERS[1])[:3] == ["1", "5", "erased before 100"]
    assert all("webhook-signature" in headers for headers in receiver.headers)


def test_what_was_told_is_known_after_a_restart(feed: Feed) -> None:
    for buyer in BUYERS:
        feed.erase(buyer, 100)
    with receiving() as (url, receiver):
        assert feed.deliver(url).erasures == 4  # nothing was ever assigned: its place is kept all the same
        assert feed.deliver(url).erasures == 0
        feed.assign(8, buyers=4, first=200)
        delivered = feed.deliver(url)
        assert (delivered.assignments, delivered.erasures) == (8, 0)
        assert feed.deliver(url).erasures == 0
    assert len(receiver.erased) == 4


def test_an_erasure_that_the_receiver_was_not_told_of_yet_is_told_again(feed: Feed) -> None:
    feed.erase(BUYERS[0], 100)
    told = threading.Event()

    def answer(_body: dict[str, Any]) -> Reply:
        told.set()
        return (503, {}, "")

    with receiving(answer) as (url, _), feed.process(url) as process:
        assert told.wait(100)
        process.kill()
    with receiving() as (url, receiver):
        assert feed.deliver(url).erasures == 1
    assert [it["buyer"] for _, it in receiver.erased] == [BUYERS[0]]


def test_an_idle_sink_tells_of_an_erasure_as_it_comes(feed: Feed) -> None:
    feed.assign(4, buyers=4)
    with receiving() as (url, receiver), feed.sink(url) as sink:
        thread = threading.Thread(target=sink.run)
        thread.start()
        wait_until(lambda: len(receiver.ids()) == 4, "the assignments")
        feed.erase(BUYERS[2], 100)
        wait_until(lambda: len(receiver.erased) == 1, "the erasure")
        sink.stop()
        thread.join(60)
    assert story(receiver.bodies, BUYERS[2]) == ["2", "erased before 100"]


def test_what_waits_for_the_receiver_is_not_sent_once_its_buyer_is_erased(feed: Feed) -> None:
    feed.assign(8, buyers=4)
    away = threading.Event()
    with (
        receiving(lambda _body: TAKEN if away.is_set() else (503, {}, "")) as (url, receiver),
        feed.sink(url, backoff_s=1.0) as sink,
    ):
        thread = threading.Thread(target=sink.run)
        thread.start()
        wait_until(lambda: sink.metrics.delivered().failed_requests >= 2, "the receiver to be away")
        feed.erase(BUYERS[3], 100)
        tries = sink.metrics.delivered().failed_requests
        wait_until(lambda: BUYERS[3] not in str(receiver.bodies[-1]), "the sink to hear of it")
        assert sink.metrics.delivered().failed_requests > tries
        away.set()
        wait_until(lambda: bool(receiver.erased), "the erasure")
        wait_until(lambda: sink.metrics.delivered().assignments == 6, "the others")
        sink.stop()
        thread.join(60)
    assert BUYERS[3] not in {said["buyer"] for _, said in receiver.taken}


def test_two_sinks_tell_each_erasure_after_what_it_voids(feed: Feed) -> None:
    feed.assign(60, buyers=20)
    with receiving() as (url, receiver), feed.sink(url) as first, feed.sink(url) as second:
        threads = [threading.Thread(target=sink.run) for sink in (first, second)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(receiver.ids()) == 60, "the assignments")
        for number in range(20):
            feed.erase(f"{number:016x}", 1_000)
        feed.assign(20, buyers=20, first=1_000)
        wait_until(lambda: len({it["buyer"] for _, it in receiver.erased}) == 20, "the erasures")
        wait_until(lambda: len(receiver.ids()) == 80, "the new lives")
        for sink in (first, second):
            sink.stop()
        for thread in threads:
            thread.join(60)
    for number in range(20):
        heard = story(receiver.bodies, f"{number:016x}")
        void = [it for it in heard if it.isdecimal() and int(it) < 1_000]
        assert heard[: len(void)] == void
        assert "erased before 1000" in heard[len(void) :]


def test_a_refused_erasure_is_a_dead_letter_and_stops_nothing(feed: Feed) -> None:
    for buyer in BUYERS:
        feed.erase(buyer, 100)

    def picky(body: dict[str, Any]) -> Reply:
        return (422, {}, "who?") if BUYERS[1] in str(body) else TAKEN

    with receiving(picky) as (url, receiver):
        delivered = feed.deliver(url)
    assert (delivered.erasures, delivered.dead_letters) == (3, 1)
    (letter,) = feed.dead_letters()
    assert (letter.reason, letter.detail, letter.topic) == (
        "webhook_refused_erasure",
        "422 who?",
        feed.erased,
    )
    assert b'"before_offset":100' in base64.b64decode(letter.raw_base64)
    assert len(receiver.erased) == 3


def test_other_stores_erasures_are_not_told(feed: Feed) -> None:
    feed.erase(BUYERS[0], 100)
    feed.erase(BUYERS[1], 100, store="other")
    with receiving() as (url, receiver):
        assert feed.deliver(url, stores=("acme",)).erasures == 1
    assert [it["store"] for _, it in receiver.erased] == ["acme"]


def test_segment_is_not_told_and_that_is_counted(feed: Feed) -> None:
    feed.assign(4, buyers=4)
    feed.erase(BUYERS[0], 1)
    with receiving() as (url, receiver), feed.sink(url, form="segment") as sink:
        delivered = sink.run(until_end=True)
        untold = sink.metrics.registry.get_sample_value("simpersona_webhook_untold_erasures_total")
    assert (delivered.erasures, untold) == (0, 1)
    assert all("batch" in body for body in receiver.bodies)
