"""A question for one persona that is answered without the framework is answered as the framework does."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from feature_store.contract.events import record_key
from feature_store.online.client import open_client
from inference.api.requests.notes import Requested, encode_requested, requested_key
from inference.api.routes.personas import PersonaAnswer
from tests.api_process import Api, event
from tests.inference.api.test_live_api import HASHER, new_buyer, path, send, wait_for_persona
from tests.rig import Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FRAMEWORKS = {"Origin": "https://shop.example"}
"""A page's request is the framework's."""


def asked_for(client: httpx.Client, url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
    answer = client.get(url, headers=headers)
    body = answer.json()
    body.pop("feature_age_ms", None)
    named = {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}
    if "retry-after" in named:  # a second may pass between two questions
        named["retry-after"] = "then" if int(named["retry-after"]) > 9_000 else "soon"
    return answer.status_code, named, body


def test_both_ways_answer_the_same(live: Rig, api: Api, acme: httpx.Client) -> None:
    buyer, early = new_buyer(), new_buyer()
    send(acme, event("d1", buyer))
    said = wait_for_persona(live, acme, buyer, 1)
    PersonaAnswer.model_validate(said, strict=True, extra="forbid")
    blind = api.new_key("acme", "events:write")
    poor = api.new_key("acme", "personas:read", rate=0.0001, burst=1)
    questions = [
        path(buyer),
        path(buyer) + "?pseudonym=false",
        path(said["buyer"]) + "?pseudonym=true",
        path(said["buyer"]) + "?pseudonym=1",
        path(said["buyer"]) + "?pseudonym=perhaps",
        path(early),
        path("a" * 1024),
        path("a" * 1025),
        path("%00"),
        path("%C3%BC%20%F0%9F%9B%92"),
        path("%ED%A0%80"),
        path("%FF"),
        path(""),
        path("x/persona"),
        path(buyer, store="other"),
        path(buyer, store=".."),
        path(buyer, store="no%20name"),
        path(buyer) + "%0A",
    ]
    with api.client(poor) as client:
        client.get(path(buyer))
    for key in (
        acme.headers["authorization"].split()[1],
        blind,
        poor,
        "sp_none",
        f"sp_{'0' * 12}_{'a' * 43}",
    ):
        with api.client(key) as client:
            for url in questions:
                direct, framework = asked_for(client, url, {}), asked_for(client, url, FRAMEWORKS)
                assert direct == framework, url


def test_what_another_process_was_asked_to_erase_is_told_to_nobody(live: Rig, acme: httpx.Client) -> None:
    """Before the log has told this process where the erasure lies: the other one left a note."""
    buyer = new_buyer()
    send(acme, event("n1", buyer))
    wait_for_persona(live, acme, buyer, 1)
    row = record_key("acme", HASHER.buyer("acme", buyer))
    store = open_client(live.settings.store_url)
    try:
        note = Requested("0" * 12, time.time_ns() // 1_000_000)
        store.delete(b"simpersona-api:fresh:" + row)
        store.set(requested_key(row), encode_requested(note), ex=60)
        for headers in ({}, FRAMEWORKS):
            answer = acme.get(path(buyer), headers=headers)
            assert answer.json()["type"] == "urn:simpersona:erased-buyer"
        many = acme.post("/v1/stores/acme/personas", json={"buyers": [buyer]}).json()
        assert many["absent"] == [{"index": 0, "reason": "erased"}]
    finally:
        store.delete(requested_key(row))
        store.close()
