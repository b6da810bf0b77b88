"""No route reads a byte of a body before its key was checked, and none forgets to check it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import iter_route_contexts

from inference.api.access.keys import Scope
from inference.api.access.pages import SHOPPER_PATH
from inference.api.access.permissions import ReadsPersonas, guard_of
from inference.api.app import create_app
from inference.api.requests.gate import PUBLIC, STRICT_HEADERS
from inference.api.routes import direct
from inference.api.settings import ApiSettings
from tests.inference.api.doors import Call, Keys, app_without_servers, installation
from tests.waiting import eventually

EVERYTHING = list(Scope)
KEYS = Keys(all=EVERYTHING, none=[], empty=EVERYTHING)
ADDRESS = {"store": "acme", "buyer": "4711", "buyer:path": "4711", "code": "17"}


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path) of every route, with names of its parameters filled in."""
    found = []
    for context in iter_route_contexts(app.routes):
        for method in sorted(context.methods or ()):
            path = context.path or ""
            for name, value in ADDRESS.items():
                path = path.replace("{" + name + "}", value)
            found.append((method, path))
    return found


def guarded(home: Path) -> list[tuple[str, str]]:
    """Those that ask for a key; a shopper's route asks for a token (tests/inference/api/access)."""
    walked = routes(app_without_servers(home, KEYS))
    return [(method, path) for method, path in walked if path not in (*PUBLIC, SHOPPER_PATH)]


@pytest.mark.parametrize(
    ("token", "status", "kind"),
    [
        (None, 401, "no-key"),
        ("acme/unknown", 401, "no-key"),
        ("acme/none", 403, "missing-scope"),
        ("acme/empty", 429, "too-many-requests"),
    ],
)
def test_every_route_answers_before_it_asks_for_the_body(
    tmp_path: Path, token: str | None, status: int, kind: str
) -> None:
    app = app_without_servers(tmp_path, KEYS)
    walked = guarded(tmp_path)
    assert len(walked) >= 12
    for method, path in walked:
        call = asyncio.run(Call(method, path, token).to(app))
        assert call.status == status, (method, path)
        assert call.order[0] == "answer", f"{method} {path} read the body first"
        assert json.loads(call.body)["type"] == f"urn:simpersona:{kind}"


def test_another_stores_key_is_refused_before_the_body(tmp_path: Path) -> None:
    app = app_without_servers(tmp_path, KEYS)
    of_a_store = [(method, path) for method, path in guarded(tmp_path) if "/acme/" in path]
    assert len(of_a_store) >= 8
    for method, path in of_a_store:
        call = asyncio.run(Call(method, path, "other/all").to(app))
        assert (call.status, call.order[0]) == (403, "answer"), (method, path)


def test_without_a_key_no_json_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*_args: Any, **_named: Any) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(json, "loads", parsed)
    app, body = app_without_servers(tmp_path, KEYS), b"[" + b"[]," * 100_000 + b"[]]"
    for path in ("/v1/stores/acme/personas", "/v1/stores/acme/sample", "/v1/events"):
        assert asyncio.run(Call("POST", path, None, body).to(app)).status == 401


def test_a_route_that_forgets_its_key_is_not_served(tmp_path: Path) -> None:
    router = APIRouter()

    @router.post("/v1/forgotten")
    async def forgotten(request: Request) -> None:
        """Checks nothing."""

    made = installation(tmp_path)
    bad = type(made)(**{**vars(made), "routers": (router,)})
    with pytest.raises(RuntimeError, match="/v1/forgotten checks no key"):
        create_app(bad, ApiSettings())


def test_public_routes_take_no_body(tmp_path: Path) -> None:
    app = app_without_servers(tmp_path, KEYS)
    known = {path for _, path in routes(app) if path in PUBLIC}
    assert known == PUBLIC
    call = asyncio.run(Call("GET", "/healthz", None, b"[" * 10_000).to(app))
    assert (call.status, call.order[0]) == (200, "answer")


def test_every_answer_is_strict_and_nothing_comes_from_elsewhere(tmp_path: Path) -> None:
    app = app_without_servers(tmp_path, KEYS)
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert asyncio.run(Call("GET", path, "acme/all").to(app)).status == 404
    for path in ("/", "/healthz", "/openapi.json", "/v1/personas", "/nowhere"):
        call = asyncio.run(Call("GET", path).to(app))
        for name, _ in STRICT_HEADERS:
            assert call.headers[name.decode()], (path, name)
        assert "default-src 'none'" in call.headers["content-security-policy"]
        assert b"cdn." not in call.body


def test_what_nobody_foresaw_is_answered_and_logged_without_what_was_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    router = APIRouter()

    @router.post("/v1/breaks")
    async def breaks(request: Request, key: ReadsPersonas) -> None:
        raise ValueError((await request.body()).decode())

    app = app_without_servers(tmp_path, KEYS)
    app.include_router(router)
    call = asyncio.run(Call("POST", "/v1/breaks", "acme/all", b"jane@example.org").to(app))
    assert (call.status, json.loads(call.body)["type"]) == (500, "urn:simpersona:internal")
    told = capsys.readouterr()
    assert "ValueError" in told.out + told.err
    assert "/v1/breaks" in told.out + told.err
    assert "jane" not in told.out + told.err


def test_an_error_of_the_direct_read_is_logged_once_and_not_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object) -> None:
        raise ValueError("jane@example.org")

    monkeypatch.setattr(direct, "_asked", breaks)
    app = app_without_servers(tmp_path, KEYS)
    asked = Call("GET", "/v1/stores/acme/buyers/b/persona", "acme/all")
    asked.scope["headers"] = [(b"authorization", b"Bearer acme/all")]  # no body is announced
    call = asyncio.run(asked.to(app))
    assert (call.status, json.loads(call.body)["type"]) == (500, "urn:simpersona:internal")
    logged = "".join(capsys.readouterr())
    assert logged.count("request_failed") == 1
    assert "ValueError" in logged
    assert "jane" not in logged


def test_a_body_beyond_the_limit_is_refused_by_its_announced_length(tmp_path: Path) -> None:
    app = app_without_servers(tmp_path, KEYS, max_body_bytes=1024)
    call = asyncio.run(Call("POST", "/v1/events", "acme/all", b"x" * 1025).to(app))
    assert (call.status, call.order[0]) == (413, "answer")
    assert call.headers["connection"] == "close"


def test_a_flood_of_refused_bodies_holds_a_few_connections_only(tmp_path: Path) -> None:
    app = app_without_servers(tmp_path, KEYS)
    calls = [Call("POST", "/v1/events", None, b"x" * 1_000) for _ in range(100)]

    async def run() -> None:
        ended = asyncio.Event()
        reading = 0

        async def hold() -> Any:
            nonlocal reading
            reading += 1
            await ended.wait()
            return {"type": "http.disconnect"}

        for call in calls:
            call.receive = hold  # type: ignore[method-assign]
        tasks = [asyncio.create_task(call.to(app)) for call in calls]

        async def most_are_refused() -> bool:
            return sum(task.done() for task in tasks) >= 84

        await eventually(most_are_refused, "84 of 100 to be refused")
        assert reading == 16
        ended.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    assert {call.status for call in calls} == {401}


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    app = app_without_servers(tmp_path, KEYS, body_s=0.01)
    call = Call("POST", "/v1/events", "acme/all", b"x" * 100)
    whole = call.receive
    waits = 0

    async def never() -> Any:
        nonlocal waits
        waits += 1
        if waits == 1:
            await asyncio.Event().wait()
        return await whole()

    call.receive = never  # type: ignore[method-assign]
    asyncio.run(call.to(app))
    assert (call.status, json.loads(call.body)["type"]) == (408, "urn:simpersona:body-too-slow")


def test_a_store_has_so_many_requests_and_bytes_under_way(tmp_path: Path) -> None:
    app = app_without_servers(tmp_path, KEYS, requests_per_store=1)
    held = app.state.api.in_flight.enter("acme")
    refused = asyncio.run(Call("POST", "/v1/events", "acme/all").to(app))
    assert (refused.status, refused.order[0]) == (429, "answer")
    assert refused.headers["retry-after"] == "1"
    held.leave()
    assert app.state.api.in_flight.enter("acme")


def test_guards_are_found(tmp_path: Path) -> None:
    app = create_app(installation(tmp_path), ApiSettings())
    scopes = {
        context.path: guard.scope
        for context in iter_route_contexts(app.routes)
        if (guard := guard_of(context.original_route)) is not None
    }
    assert scopes["/metrics"] is Scope.OPERATION_READ
    assert scopes["/v1/events"] is Scope.EVENTS_WRITE
