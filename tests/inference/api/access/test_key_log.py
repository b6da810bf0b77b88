"""What the topic of keys says: a revocation is final, and before it is read no key holds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec

from inference.api.access.key_log import KnownKeys
from inference.api.access.keys import KeyRecord, Scope
from tests.inference.api.doors import Keys, app_without_servers

KEY = KeyRecord(
    id="0123456789ab", store="acme", scopes=(Scope.PERSONAS_READ,), digest="ab" * 32, rate=1, burst=1,
    note="", created_at=1,
)  # fmt: skip
REVOKED = msgspec.structs.replace(KEY, revoked_at=2)


def message(raw: bytes) -> Any:
    return SimpleNamespace(value=lambda: raw, offset=lambda: 0)


def test_no_later_record_takes_a_revocation_back() -> None:
    known = KnownKeys()
    known.take([message(msgspec.json.encode(KEY))])
    assert not known.is_revoked(KEY.id)
    known.take([message(msgspec.json.encode(record)) for record in (REVOKED, KEY)])
    assert known.is_revoked(KEY.id)


def test_a_record_that_cannot_be_read_ends_nothing() -> None:
    known = KnownKeys()
    known.take([message(b"[]"), message(msgspec.json.encode(REVOKED))])
    assert known.is_revoked(KEY.id)


def test_before_the_topic_is_read_no_key_holds(tmp_path: Path) -> None:
    async def ask() -> httpx.Response:
        app = app_without_servers(tmp_path, Keys(reader=[Scope.PERSONAS_READ]))
        app.state.api.tail.caught_up = asyncio.Event()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get("/v1/personas", headers={"Authorization": "Bearer acme/reader"})

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:simpersona:unavailable")
