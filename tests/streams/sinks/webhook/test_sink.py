"""The webhook sink between a real Kafka and a real HTTP server: at least once, in order, whatever dies."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_store.errors import TopicError
from feature_store.log.producer import Output
from ops.stack.kafka import Kafka
from ops.stack.processes import free_ports
from streams.errors import SinkError
from streams.sinks.metrics import Delivered
from streams.sinks.sink import Answer, Item, Taken
from streams.sinks.telling import Erased
from tests.streams.sinks.webhook.feed import Feed
from tests.streams.sinks.webhook.receiver import TAKEN, Reply, receiving
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def feed(kafka: Kafka, tmp_path: Path) -> Feed:
    return Feed(kafka, tmp_path)


def assert_in_order(taken: list[tuple[str, dict[str, Any]]]) -> None:
    """Leaving out what came again, each buyer's assignments came in the order they were made."""
    seen, last = set[str](), dict[str, int]()
    for name, given in taken:
        if name not in seen:
            seen.add(name)
            assert given["events"] > last.get(given["buyer"], -1)
            last[given["buyer"]] = given["events"]


def test_every_assignment_arrives_signed_and_in_order(feed: Feed) -> None:
    feed.assign(95)
    with receiving() as (url, receiver):
        delivered = feed.deliver(url)
        assert delivered.assignments == 95
        assert delivered.failed_requests == 0
        assert sorted(given["events"] for _, given in receiver.taken) == list(range(95))
        assert len(receiver.ids()) == 95
        assert_in_order(receiver.taken)
        assert all(len(body["assignments"]) <= 10 for body in receiver.bodies)
        again = feed.deliver(url)
        assert (again.assignments, len(receiver.taken)) == (0, 95)


def test_a_server_that_fails_for_a_while_gets_everything_all_the_same(feed: Feed) -> None:
    feed.assign(40)
    replies: list[Reply] = [
        (500, {}, "oops"),
        (429, {"Retry-After": "1"}, ""),
        (503, {}, ""),
        (401, {}, "who are you?"),
        (404, {}, ""),
    ]
    with receiving(lambda _body: replies.pop(0) if replies else TAKEN) as (url, receiver):
        delivered = feed.deliver(url)
    assert delivered.failed_requests == 5
    assert delivered.dead_letters == 0
    assert len(receiver.taken) == len(receiver.ids()) == 40
    first, again = receiver.headers[0], receiver.headers[1]
    assert first["webhook-id"] == again["webhook-id"]  # the same items
    assert receiver.bodies[0] == receiver.bodies[5]


def test_a_server_that_is_not_there_yet_is_waited_for(feed: Feed) -> None:
    feed.assign(30)
    (port,) = free_ports(1)
    ended: list[Delivered] = []
    with feed.sink(f"http://127.0.0.1:{port}/personas") as sink:
        thread = threading.Thread(target=lambda: ended.append(sink.run(until_end=True)))
        thread.start()
        wait_until(lambda: sink.metrics.delivered().failed_requests >= 3, "three refused connections")
        with receiving(port=port) as (_, receiver):
            thread.join(60)
    assert len(receiver.ids()) == 30
    assert ended[0].assignments == 30


def test_what_the_server_refuses_is_a_dead_letter_and_stops_nothing(feed: Feed) -> None:
    feed.assign(50)

    def picky(body: dict[str, Any]) -> Reply:
        poison = any(item["assignment"]["events"] in (7, 23, 24) for item in body["assignments"])
        return (422, {}, "unknown customer") if poison else TAKEN

    with receiving(picky) as (url, receiver):
        delivered = feed.deliver(url)
    assert delivered.dead_letters == 3
    assert delivered.assignments == len(receiver.taken) == 47
    assert_in_order(receiver.taken)
    letters = feed.dead_letters()
    assert {letter.reason for letter in letters} == {"webhook_refused"}
    assert {letter.detail for letter in letters} == {"422 unknown customer"}
    assert {letter.topic for letter in letters} == {feed.topic}


def test_a_record_that_is_no_assignment_is_a_dead_letter(feed: Feed) -> None:
    output = Output(feed.kafka.client_config(), 30)
    output.send(feed.topic, b"acme|b", b'{"schema_version":2}')
    output.flush()
    with receiving() as (url, receiver):
        assert feed.deliver(url).dead_letters == 1
    assert receiver.bodies == []
    assert feed.dead_letters()[0].reason == "no_assignment"


def test_stores_that_were_not_asked_for_and_erased_buyers_are_left_out(feed: Feed) -> None:
    feed.assign(20, buyers=4)
    feed.assign(20, store="other")
    feed.erase(f"{1:016x}", 10, done=True)
    with receiving() as (url, receiver):
        delivered = feed.deliver(url, stores=("acme",))
    gone = [number for number in range(10) if number % 4 == 1]
    assert sorted(given["events"] for _, given in receiver.taken) == [n for n in range(20) if n not in gone]
    assert delivered.skipped == 20 + len(gone)


def test_kill_9_mid_way_loses_nothing(feed: Feed) -> None:
    feed.assign(400)
    slow = threading.Event()

    def answer(_body: dict[str, Any]) -> Reply:
        slow.wait(0.03)
        return TAKEN

    with receiving(answer) as (url, receiver):
        for taken in (50, 150, 250):
            with feed.process(url) as process:
                wait_until(lambda taken=taken: len(receiver.ids()) >= taken, "some to be delivered")
                process.kill()
        slow.set()
        with feed.process(url, "--once", "--json") as process:
            report = json.loads(process.communicate(timeout=120)[0])
        assert process.returncode == 0
    assert sorted({given["events"] for _, given in receiver.taken}) == list(range(400))
    assert len(receiver.ids()) == 400
    # Each kill sends again one batch at most, the one that was taken and not yet committed.
    assert len(receiver.taken) <= 400 + 3 * 10
    assert 0 < report["assignments"] < 400
    assert_in_order(receiver.taken)


def test_sigterm_ends_it_after_the_request_under_way(feed: Feed) -> None:
    feed.assign(10)
    (port,) = free_ports(1)
    with receiving() as (url, receiver), feed.process(url, "--json", metrics_port=port) as process:
        wait_until(lambda: len(receiver.ids()) == 10, "the assignments")
        wait_until(
            lambda: "simpersona_webhook_assignments_total 10.0" in httpx.get(f"http://127.0.0.1:{port}").text,
            "the metrics",
        )
        process.terminate()
        report = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    assert report["assignments"] == 10


def test_sigterm_ends_it_while_a_request_is_under_way(feed: Feed) -> None:
    """The receiver does not answer for as long as the sink would wait; what it had comes again."""
    feed.assign(10)
    held = threading.Event()

    def answer(_body: dict[str, Any]) -> Reply:
        held.wait(200)
        return TAKEN

    with receiving(answer) as (url, receiver), feed.process(url, "--json", timeout_s=600) as process:
        wait_until(lambda: bool(receiver.bodies), "a request")
        process.terminate()
        try:
            report = json.loads(process.communicate(timeout=100)[0])
        finally:
            process.kill()
            held.set()
    assert process.returncode == 0
    assert report["assignments"] == 0
    with receiving() as (url, receiver):
        feed.deliver(url)
    assert sorted(given["events"] for _, given in receiver.taken) == list(range(10))


def test_a_sink_that_never_returns_is_given_up(feed: Feed) -> None:
    feed.assign(10)
    begun, never = threading.Event(), threading.Event()

    class Stuck:
        def deliver(self, _items: Sequence[Item]) -> Answer:
            begun.set()
            never.wait()
            return Taken()

        def erase(self, _erased: Sequence[Erased]) -> Answer:
            return Taken()

        def close(self) -> None:
            """Nothing."""

    ended: list[Delivered] = []
    with feed.runner(Stuck(), "http://127.0.0.1:9/") as runner:
        thread = threading.Thread(target=lambda: ended.append(runner.run()), daemon=True)
        thread.start()
        assert begun.wait(100)
        runner.stop()
        thread.join(100)
    assert [it.assignments for it in ended] == [0]
    with receiving() as (url, receiver):
        feed.deliver(url)
        never.set()  # too late: somebody else has taken it
    assert len(receiver.ids()) == 10


def test_a_receiver_that_has_moved_ends_the_sink_and_loses_nothing(feed: Feed) -> None:
    feed.assign(10)
    moved: Reply = (308, {"Location": "https://shop.example/in?token=hush"}, "")
    with receiving(lambda _body: moved) as (url, receiver):
        with pytest.raises(SinkError, match=r"308 and redirects to shop\.example:") as told:
            feed.deliver(url)
        assert len(receiver.bodies) == 1
    assert "hush" not in str(told.value)
    with receiving() as (url, receiver):
        assert feed.deliver(url).assignments == 10
    assert feed.dead_letters() == []


def test_a_second_sink_takes_over_while_the_first_waits_for_the_server(feed: Feed) -> None:
    feed.assign(60)
    with (
        receiving(lambda _body: (503, {}, "")) as (away, _),
        receiving() as (url, receiver),
        feed.sink(away, backoff_s=1.0) as first,
        feed.sink(url) as second,
    ):
        threads = [threading.Thread(target=first.run)]
        threads[0].start()
        wait_until(lambda: first.metrics.delivered().failed_requests >= 2, "the first to wait")
        threads.append(threading.Thread(target=second.run))
        threads[1].start()
        wait_until(lambda: second.metrics.delivered().assignments > 0, "the second to get a share")
        first.stop()
        threads[0].join(60)
        wait_until(lambda: len(receiver.ids()) == 60, "the second to get the rest")
        second.stop()
        threads[1].join(60)
    assert first.metrics.delivered().assignments == 0
    assert_in_order(receiver.taken)


def test_without_its_dead_letters_topic_it_does_not_begin(feed: Feed) -> None:
    with pytest.raises(TopicError, match="there is no topic nowhere"):
        feed.deliver("http://127.0.0.1:9/", dead_letters_topic="nowhere")
