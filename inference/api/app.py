"""The persona API as an ASGI app: routes, errors, health, metrics, and what every request passes through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feature_store.errors import OnlineStoreError
from inference.api import problems
from inference.api.bodies import too_large
from inference.api.installation import Installation
from inference.api.problems import Problem, ProblemError, documented
from inference.api.routes import collector, erasing, personas, populations, stream
from inference.api.settings import ApiSettings
from inference.api.state import State, open_state, state_of

_ABOUT: Final = """Who is this shopper? Send clickstream events, ask for personas, or follow them.

Every call but health and metrics needs `Authorization: Bearer sp_...`, a key of one store with
the scopes that it names.
Buyer ids are the shop's own and are hashed before anything is stored. Errors are problem documents
(RFC 9457); `type` names the kind. After 429 and 503 wait for `Retry-After` seconds and send again.
"""
_NO_ROUTE: Final = "none"


class Health(BaseModel):
    """Alive."""

    status: str = "ok"


def create_app(installation: Installation, settings: ApiSettings) -> FastAPI:
    """The app; clients are opened when it starts and closed when it ends."""
    app = FastAPI(
        title="simpersona persona API",
        version="1",
        description=_ABOUT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lambda served: _lifespan(served, installation, settings),
        redirect_slashes=False,
    )
    problems.install(app)
    for routes in (collector, personas, stream, erasing, populations):
        app.include_router(routes.router)
    for router in installation.routers:
        app.include_router(router)
    _add_health(app)
    _document_problems(app)
    app.add_middleware(Gate, max_body_bytes=settings.max_body_bytes)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Content-Encoding", "Last-Event-ID"],
            expose_headers=["Retry-After"],
        )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, installation: Installation, settings: ApiSettings) -> AsyncIterator[None]:
    state = open_state(installation, settings, asyncio.Event())
    app.state.api = state
    state.intake.start()
    try:
        yield
    finally:
        await state.close()


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", tags=["operation"])
    async def healthz() -> Health:
        """The process answers."""
        return Health()

    @app.get("/readyz", tags=["operation"], responses=documented(503))
    async def readyz(request: Request) -> Health:
        """Warm: store and Kafka answer, erasures and commands are read, the catalogue is loaded."""
        missing = await _missing(state_of(request))
        if missing:
            raise ProblemError(503, "not-ready", "; ".join(missing), retry_after_s=1)
        return Health()

    @app.get("/metrics", tags=["operation"], response_class=Response)
    async def metrics(request: Request) -> Response:
        """Prometheus metrics of this process."""
        state = state_of(request)
        state.metrics.waiting.set(state.producer.waiting)
        return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _missing(state: State) -> list[str]:
    """What this process still waits for, in words."""
    waits = []
    if not state.tail.caught_up.is_set():
        waits.append("erasures and commands are not read yet")
    if state.producer.stalled():
        waits.append("Kafka acknowledges nothing")
    if state.hub.closed:
        waits.append("the process ends")
    try:
        await state.buyers.ping()
    except OnlineStoreError:
        waits.append("the online store does not answer")
    await state.models.settled()
    return waits


def _document_problems(app: FastAPI) -> None:
    """Put the problem document's schema into the OpenAPI document, where `documented` refers to it, and take
    FastAPI's own form of validation errors out."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


class Gate:
    """Around every request: a bound on its body, and its metrics. Plain ASGI, to cost microseconds."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app, self._limit = app, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, received = time.perf_counter(), 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise too_large(self._limit)
            return message

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                _observe(scope, message["status"], time.perf_counter() - started)
            await send(message)

        await self._app(scope, bounded, observed)


def _observe(scope: Scope, status: int, seconds: float) -> None:
    metrics = scope["app"].state.api.metrics
    route = getattr(scope.get("route"), "path", _NO_ROUTE)
    metrics.requests.labels(route, str(status)).inc()
    metrics.seconds.labels(route).observe(seconds)
