"""Readers of streams that are too slow, and buyers whose time is over."""

from __future__ import annotations

import re
import socket
import threading
import uuid

import httpx
import msgspec
import pytest

from feature_store.contract.events import record_key
from feature_store.log.producer import Output
from simpersona_client import Assigned, PersonaClient
from tests.api_process import Api, event
from tests.inference.api.test_live_api import Lines, path, wait_for_persona
from tests.rig import Rig
from tests.streams.sinks.webhook.feed import assignment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def ends(api: Api, reason: str) -> float:
    said = api.metrics()
    found = re.search(rf'simpersona_api_stream_ends_total{{reason="{reason}"}} (\S+)', said)
    assert found is not None
    return float(found[1])


def say(live: Rig, buyer: str, count: int, padding: int = 0) -> None:
    """Put assignments on the topic, as a worker would."""
    output = Output(live.client_config(), 60)
    for number in range(count):
        said = msgspec.structs.replace(
            assignment("acme", buyer, number), codebook_version="v" + "1" * padding
        )
        output.send(live.settings.assignments_topic, record_key("acme", buyer), msgspec.json.encode(said))
    output.flush()


def test_a_reader_that_falls_behind_is_told_so_and_misses_nothing(live: Rig) -> None:
    api, buyer, told = Api(live, stream_buffer=1), uuid.uuid4().hex[:16], list[Assigned]()
    key = api.new_key("acme")

    def follow() -> None:
        with PersonaClient(api.url, key) as reader:
            for item in reader.follow("acme", buyer=buyer, pseudonym=True):
                assert isinstance(item, Assigned)
                told.append(item)
                if item.assignment.events == 299:
                    return

    with api.client(key) as client:
        place = {"buyer": buyer, "pseudonym": "true"}
        with client.stream("GET", "/v1/stores/acme/stream", params=place) as response:
            events = Lines(response)
            hello = next(iter(events))
            thread = threading.Thread(target=follow)
            thread.start()
            live.wait_for(lambda: "simpersona_api_streams 2.0" in api.metrics(), "both")
            say(live, buyer, 300)
            slow = events.until("slow")
        assert slow["id"] != hello["id"]
        assert msgspec.json.decode(slow["data"])["last_event_id"] == slow["id"]
        thread.join(120)
    assert [item.assignment.events for item in told] == list(range(300))
    assert ends(api, "slow") >= 1
    assert api.stop() == 0


def test_a_reader_that_takes_nothing_is_cut_off(live: Rig) -> None:
    api, buyer = Api(live), uuid.uuid4().hex[:16]
    request = (
        f"GET /v1/stores/acme/stream?pseudonym=true&buyer={buyer} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {api.new_key('acme')}\r\n\r\n"
    )
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", api.port))
        stuck.sendall(request.encode())
        assert stuck.recv(1024).startswith(b"HTTP/1.1 200")
        say(live, buyer, 12_000, padding=1_000)  # more than all buffers between the two hold
        live.wait_for(lambda: ends(api, "slow") == 1, "the stream to be cut off")
    assert api.stop() == 0


def test_a_buyer_whose_last_event_is_too_long_ago_is_expired(live: Rig, acme: httpx.Client) -> None:
    buyer = f"shop/{uuid.uuid4().hex}"
    assert acme.post("/v1/events", json=event("x1", buyer)).status_code == 202
    wait_for_persona(live, acme, buyer, 1)
    api = Api(live, persona_ttl_days=1e-5)  # less than a second
    with api.client(api.new_key("acme")) as client:
        live.wait_for(lambda: client.get(path(buyer)).status_code == 404, "the buyer to expire")
        gone, never = client.get(path(buyer)), client.get(path("nobody"))
        assert gone.json()["type"] == "urn:simpersona:expired-buyer"
        assert "too long ago" in gone.json()["detail"]
        assert never.json()["type"] == "urn:simpersona:unknown-buyer"
        both = client.post("/v1/stores/acme/personas", json={"buyers": [buyer, "nobody"]}).json()
        assert both["absent"] == [
            {"index": 0, "reason": "expired"},
            {"index": 1, "reason": "unknown"},
        ]
    assert acme.get(path(buyer)).status_code == 200  # the setting is of a process
    assert api.stop() == 0
