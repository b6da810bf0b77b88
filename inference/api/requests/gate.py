"""Around every request: nothing of a body is read before its key was checked, and never more than may be;
what a handler could not foresee is answered and logged without what was sent; every answer carries the
headers of a strict page."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference.api.access.pages import page_headers
from inference.api.access.permissions import Admission, admit, guard_of, has_key, no_key, release
from inference.api.bounds.strangers import Strangers
from inference.api.metrics import ApiMetrics
from inference.api.problems import ProblemError, problem_of, problem_response, too_large
from inference.api.settings import ApiSettings

log = structlog.get_logger(__name__)

PUBLIC: Final = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/simpersona.js"})
"""Paths without a key: they take no body, and tell nothing of a store."""
STRICT_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Of every answer that does not say otherwise."""
_CLOSE: Final = (b"connection", b"close")
_DRAINED_BYTES: Final = 1 << 20
_DRAINED_S: Final = 5.0
_DRAIN_PAUSE_S: Final = 0.005
_MOST_DRAINS: Final = 16
_NO_ROUTE: Final = "none"
_NOTHING: Final[Message] = {"type": "http.request", "body": b"", "more_body": False}
_FRAMES: Final = 4


def require_keys(app: FastAPI) -> None:
    """Refuse to serve an app with a route that forgot its key.

    Raises:
        RuntimeError: a route outside PUBLIC checks no key.
    """
    for context in iter_route_contexts(app.routes):
        if context.path not in PUBLIC and guard_of(context.original_route) is None:
            raise RuntimeError(
                f"{context.path} checks no key: give it one of inference.api.access.permissions"
            )


class Gate:
    """Plain ASGI, to cost microseconds."""

    def __init__(self, app: ASGIApp, settings: ApiSettings, strangers: Strangers) -> None:
        self._app, self._settings, self._strangers = app, settings, strangers
        self._drains = _Drains()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._settings, self._drains, self._strangers)
        if scope["path"] not in PUBLIC and not has_key(scope):
            answer = problem_of(no_key())  # at once: nobody's requests are the cheapest to send
            await answer(scope, exchange.receive, exchange.send)
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            pass
        except Exception as error:
            answer = failed(scope, error)
            if not exchange.started:
                await answer(scope, exchange.receive, exchange.send)
        finally:
            release(scope)


class _Drains:
    """Reads and throws away what is left of refused bodies: slowly, and of a few connections at once, since
    it is nobody's work. More are closed unread, so that under a flood some senders never see why."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._under_way = 0

    async def drain(self, receive: Receive) -> bool:
        """Read on for a while; whether something is left."""
        if self._under_way >= _MOST_DRAINS:
            return True
        self._under_way += 1
        left, drained = True, 0
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAINED_S):
                    while left and drained < _DRAINED_BYTES:
                        message = await receive()
                        drained += len(message.get("body", b""))
                        left = bool(message.get("more_body"))
                        if left:
                            async with self._turn:
                                await asyncio.sleep(_DRAIN_PAUSE_S)
        finally:
            self._under_way -= 1
        return left


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        settings: ApiSettings,
        drains: _Drains,
        strangers: Strangers,
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._drains, self._strangers = drains, strangers
        self._most, self._body_s = settings.max_body_bytes, settings.body_s
        self._began = time.perf_counter()
        headers = Headers(scope=scope)
        self._announced = int(headers.get("content-length") or 0)
        self._unread = self._announced > 0 or "transfer-encoding" in headers
        self._taken = 0
        self._until: float | None = None
        self.started = False

    async def receive(self) -> Message:
        """The next part of the body, of whoever may send one.

        Raises:
            ProblemError: 401, 403 or 429 before anything is read; 413 too large, 408 too slow.
        """
        if not self._unread:
            return await self._receive()  # of a body that is over, or none: the reader listens for the end
        admission = await self._admitted()
        if admission is None:
            return _NOTHING
        if self._announced > self._most:
            raise too_large(self._most)
        message = await self._in_time()
        part = len(message.get("body", b""))
        self._taken += part
        if self._taken > self._most:
            raise too_large(self._most)
        admission.hold(part)
        self._unread = bool(message.get("more_body")) and message["type"] == "http.request"
        return message

    async def _admitted(self) -> Admission | None:
        route = self._scope.get("route")
        return await admit(self._scope) if isinstance(route, APIRoute) and guard_of(route) else None

    async def _in_time(self) -> Message:
        now = time.monotonic()
        self._until = self._until or now + self._body_s
        try:
            return await asyncio.wait_for(self._receive(), max(self._until - now, 0))
        except TimeoutError:
            raise ProblemError(
                408, "body-too-slow", f"the body took longer than {self._body_s:g} s"
            ) from None

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on; after its last one the rest of a body that nobody read is drained."""
        if message["type"] == "http.response.start":
            self.started = True
            if message["status"] == HTTPStatus.UNAUTHORIZED:
                await self._strangers.wait()
            message = {**message, "headers": self._headers(message)}
            observe(self._scope, message["status"], time.perf_counter() - self._began)
        elif self._unread and not message.get("more_body"):
            # Closed with bytes unread, a connection is reset, and the answer is lost on the way.
            await self._send({**message, "more_body": True})
            self._unread = await self._drains.drain(self._receive)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        headers = with_strict_headers([*message.get("headers", ()), *page_headers(self._scope)])
        return [*headers, _CLOSE] if self._unread else headers


def with_strict_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """An answer's headers, and those of STRICT_HEADERS that it does not say otherwise."""
    found = list(headers)
    named = {name.lower() for name, _ in found}
    return found + [header for header in STRICT_HEADERS if header[0] not in named]


def observe(scope: Scope, status: int, seconds: float) -> None:
    """Count an answer that begins, and the time until then. scope: of a routed request, or of none."""
    metrics: ApiMetrics = scope["app"].state.api.metrics
    metrics.answered(_route(scope), status, seconds)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", _NO_ROUTE)


def failed(scope: Scope, error: Exception) -> Response:
    """Log an error that nobody foresaw; returns the answer to its request.

    Type, route and place alone: an error's text may quote what was sent, and that may name a shopper.
    """
    frames: Any = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    log.error(
        "request_failed",
        route=_route(scope),
        method=scope["method"],
        cause=type(error).__name__,
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
    return problem_response(500, "internal", "this should not have happened; the log says more")
