"""A stream goes on after whatever ended it, from the last id; the server is a script here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import httpx
import msgspec
import pytest

from feature_store.online.assignment import Assignment, token
from simpersona_client import (
    AnswerError,
    Assigned,
    AsyncPersonaClient,
    Gap,
    NotAllowedError,
    PersonaClient,
    Retries,
    _stream,
)
from tests.clients.python.test_requests import Script, problem


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "_BACKOFF", Retries(first_s=0.0, most_s=0.0))


def assignment(code: int) -> str:
    said = Assignment(
        store="acme",
        buyer="9f2c",
        code=code,
        token=token(code),
        type=None,
        confidence=None,
        distance=0.5,
        margin=0.1,
        codebook_version="v1",
        events=code,
        reason="code",
        event_time=1,
        assigned_at=2,
        partition=0,
        offset=code,
    )
    return msgspec.json.encode(said).decode()


def stream(*events: tuple[str, str, str]) -> httpx.Response:
    text = "".join(f"id: {number}\nevent: {event}\ndata: {data}\n\n" for number, event, data in events)
    return httpx.Response(200, text=f"retry: 2000\n\n{text}", headers={"Content-Type": "text/event-stream"})


def followed(script: Script, **asked: Any) -> Iterator[Assigned | Gap]:
    return PersonaClient("http://api", "sp_x", transport=httpx.MockTransport(script)).follow("acme", **asked)


def broken() -> Script:
    return Script(
        stream(("1", "assignment", assignment(1)), ("2", "slow", "{}")),
        stream(("3", "gap", "{}"), ("4", "closing", "{}")),
        httpx.ConnectError("refused"),
        problem(503, "unavailable"),
        stream(("5", "assignment", assignment(5)), ("6", "of-a-later-release", "{}")),
        problem(401, "no-key"),
    )


IDS = [None, "2", "4", "4", "4", "6"]


def test_it_goes_on_from_the_last_id_until_it_is_refused() -> None:
    script, told = broken(), list[Assigned | Gap]()
    with pytest.raises(NotAllowedError):
        told.extend(followed(script))
    assert script.answers == []
    assert [request.headers.get("Last-Event-ID") for request in script.requests] == IDS


def test_what_was_said_is_told_in_order() -> None:
    told = followed(broken(), after="0", buyer="4711")
    first, gap, last = next(told), next(told), next(told)
    assert isinstance(first, Assigned)
    assert (first.id, first.assignment.code) == ("1", 1)
    assert gap == Gap("3")
    assert isinstance(last, Assigned)
    assert last.assignment.token == "<|persona_5|>"


def test_after_and_buyer_are_asked_for() -> None:
    script = Script(stream(("1", "gap", "{}")))
    assert next(followed(script, after="0", buyer="b/1", pseudonym=True)) == Gap("1")
    assert script.requests[0].headers["Last-Event-ID"] == "0"
    assert dict(script.requests[0].url.params) == {"buyer": "b/1", "pseudonym": "true"}


def test_an_assignment_of_another_schema_is_an_error() -> None:
    with pytest.raises(AnswerError, match="cannot read"):
        next(followed(Script(stream(("1", "assignment", '{"schema_version":2}')))))


def test_the_async_client_follows_the_same_way() -> None:
    script = broken()

    async def run() -> list[str]:
        transport = httpx.MockTransport(script)
        async with (
            AsyncPersonaClient("http://api", "sp_x", transport=transport) as client,
            aclosing(client.follow("acme")) as told,  # type: ignore[type-var]
        ):
            return [(await anext(told)).id, (await anext(told)).id]

    assert asyncio.run(run()) == ["1", "3"]
