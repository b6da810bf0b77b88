"""What one store, or nobody's client, does to an API process leaves the others alone: on real servers."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.stack.kafka import Kafka
from tests.api_process import Api, event
from tests.inference.api.live.test_open_streams import say
from tests.inference.api.test_live_api import Lines, new_buyer
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

POSTS = ("/v1/events", "/v1/events?source=segment", "/v1/stores/acme/personas", "/v1/stores/acme/sample")
TYPES = ("application/json", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded")
WIDE = b"[" + b"[]," * 80_000 + b"[]]"  # a quarter of a megabyte: what this API unpacks


def asked(api: Api, path: str, body: bytes, key: str | None) -> tuple[int, str]:
    """As an ordinary client does: all of the body, then the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", path, body, headers | ({"Authorization": f"Bearer {key}"} if key else {}))
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said["type"]


@pytest.mark.parametrize("path", POSTS)
def test_an_ordinary_client_reads_why_it_was_refused(api: Api, path: str) -> None:
    body, key = b"[" * 900_000, api.new_key("acme")
    assert asked(api, path, body, None) == (401, "urn:simpersona:no-key")
    assert asked(api, path, body, key) == (413, "urn:simpersona:body-too-large")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=40)
    | st.sampled_from([b"\xff", b"\xff\xfe{}", b'{"n":"\xed\xa0\x80"}', b'"\\ud800"', WIDE[:20_000]]),
    st.sampled_from(POSTS),
    st.sampled_from(TYPES),
    st.booleans(),
)
def test_no_bytes_are_answered_500(
    api: Api, acme: httpx.Client, body: bytes, path: str, kind: str, packed: bool
) -> None:
    headers = {"Content-Type": kind, **({"Content-Encoding": "gzip"} if packed else {})}
    for sent in {body, gzip.compress(body)} if packed else {body}:
        answer = acme.post(path, content=sent, headers=headers)
        assert 400 <= answer.status_code < 500 or answer.status_code in (200, 202), (path, sent)
        assert answer.headers["content-type"].startswith("application/")


def test_what_was_sent_is_in_no_log(api: Api, acme: httpx.Client) -> None:
    secret = uuid.uuid4().hex.encode()
    for path in POSTS:
        for before, after in ((b'{"buyers":["\xff', b""), (b'["', b'"]'), (b'{"n":"', b'"}'), (b"\xff", b"")):
            body = before + secret + after
            assert acme.post(path, content=body, headers={"Content-Type": "text/plain"}).status_code < 500
    assert acme.get(f"/v1/stores/acme/buyers/{secret.decode()}%ff/persona").status_code == 404
    assert acme.get(f"/v1/personas/{secret.decode()}").status_code == 422
    assert secret.decode() not in api.log.read_text()


def test_memory_is_given_back_and_hostile_bodies_are_paid_for(live: Rig) -> None:
    api = Api(live)
    resident = psutil.Process(api.process.pid).memory_info
    packed = {"Content-Encoding": "gzip"}
    wide = gzip.compress(b"[" + b"[]," * 2_790_000 + b"[]]")
    members = gzip.compress(b"", mtime=0) * 52_000
    with api.client(api.new_key("acme", "events:write", rate=1, burst=1e6)) as client:
        before = resident().rss
        for body in (wide, members) * 5:
            assert client.post("/v1/events", content=body, headers=packed).status_code in (400, 413)
        assert resident().rss < before + (100 << 20)
    with api.client(api.new_key("acme", "events:write", rate=1, burst=1_000)) as client:
        # 8 MB unpacked cost 2,048 tokens: one request is let in, and its key waits a quarter of an hour.
        assert client.post("/v1/events", content=wide, headers=packed).status_code == 413
        refused = client.post("/v1/events", content=wide, headers=packed)
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:simpersona:too-many-requests")
        assert int(refused.headers["retry-after"]) > 1_000
    with api.client(api.new_key("acme", "events:write", rate=1, burst=1_000)) as client:
        assert client.post("/v1/events", json=[{"x": 1}] * 1_100).status_code == 422  # refused items, too
        assert client.post("/v1/events", json=[event(1)]).status_code == 429
    with api.client(api.new_key("acme", "personas:read", rate=1, burst=500)) as client:
        assert len(client.post("/v1/stores/acme/sample", json={"n": 100_000}).json()["tokens"]) == 100_000
        assert client.post("/v1/stores/acme/sample", json={"n": 1}).status_code == 429
    assert api.stop() == 0


@contextmanager
def open_stream(api: Api, key: str, query: str = "", after: str | None = None) -> Iterator[socket.socket]:
    headers = "" if after is None else f"Last-Event-ID: {after}\r\n"
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        one.connect(("127.0.0.1", api.port))
        one.sendall(
            f"GET /v1/stores/acme/stream{query} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {key}\r\n{headers}\r\n".encode()
        )
        yield one


def test_a_stores_slow_readers_do_not_hold_up_what_others_missed(
    live: Rig, api: Api, other: httpx.Client
) -> None:
    say(live, new_buyer(), 12_000, padding=1_000)  # more than sockets hold
    buyer = new_buyer()
    assert other.post("/v1/events", json=event("s1", buyer)).status_code == 202
    path = f"/v1/stores/other/buyers/{buyer.replace('/', '%2F')}/persona"
    live.wait_for(lambda: not other.get(path).json()["early"], "an assignment of the other store")
    key, start = api.new_key("acme"), "-".join(["0"] * PARTITIONS)
    with ExitStack() as held:
        slow = [held.enter_context(open_stream(api, key, after=start)) for _ in range(12)]
        for one in slow:
            assert one.recv(64).startswith(b"HTTP/1.1 200")
        # Not before, but while they read nothing:
        with other.stream("GET", "/v1/stores/other/stream", params={"recent": 20_000}) as response:
            assert Lines(response).until("assignment")


@pytest.mark.faults
def test_a_hung_kafka_holds_up_only_what_needs_it(
    live: Rig, api: Api, other: httpx.Client, kafka: Kafka
) -> None:
    assert other.get("/v1/stores/other/distribution").status_code == 200
    key, pid = api.new_key("acme"), kafka.process.pid if kafka.process else 0
    os.kill(pid, signal.SIGSTOP)
    try:
        with ExitStack() as held:
            asking = [held.enter_context(open_stream(api, key, "?recent=1")) for _ in range(12)]
            assert other.get("/v1/stores/other/distribution").status_code == 200
            for one in asking:  # they wait still, and held nothing that the other store needs
                one.setblocking(False)
                with suppress(BlockingIOError):
                    assert not one.recv(1), "answered before the other store was"
    finally:
        os.kill(pid, signal.SIGCONT)
