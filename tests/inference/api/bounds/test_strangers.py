"""Requests without a key that holds are answered one at a time, through either door."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from inference.api.access.keys import Scope
from tests.inference.api.doors import Keys, app_without_servers


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("POST", "/v1/stores/acme/personas", None),
        ("POST", "/v1/stores/acme/personas", "acme/wrong"),
        ("GET", "/v1/personas", None),
    ],
)
def test_a_flood_without_a_key_waits_in_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str, key: str | None
) -> None:
    paused, resting = 0, 0
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        nonlocal paused, resting
        assert resting == 0, "two strangers at once"
        resting, paused = 1, paused + 1
        await sleep(0)
        resting = 0

    app = app_without_servers(tmp_path, Keys(reader=[Scope.PERSONAS_READ]))
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    async def flood() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            monkeypatch.setattr("inference.api.bounds.strangers.asyncio.sleep", pause)
            asked = (client.request(method, path, headers=headers) for _ in range(20))
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert asyncio.run(flood()) == [401] * 20
    assert paused == 20


def test_who_has_a_key_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_seconds: float) -> None:
        raise AssertionError("a request with a key waited")

    app = app_without_servers(tmp_path, Keys(reader=[]))
    monkeypatch.setattr("inference.api.bounds.strangers.asyncio.sleep", never)

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            answer = await client.get("/v1/personas", headers={"Authorization": "Bearer acme/reader"})
            return answer.status_code

    assert asyncio.run(ask()) == 403
