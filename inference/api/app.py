"""The persona API as an ASGI app: routes, errors, health, metrics, and what every request passes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from inference.api import problems
from inference.api.access.pages import PageCors
from inference.api.access.permissions import ReadsOperation
from inference.api.bounds.strangers import Strangers
from inference.api.installation import Installation
from inference.api.problems import Problem, ProblemError, documented
from inference.api.readiness import Readiness
from inference.api.requests.gate import Gate, require_keys
from inference.api.routes import (
    collector,
    consent,
    erasing,
    history,
    personas,
    populations,
    script,
    shopper,
    stream,
)
from inference.api.routes.direct import DirectApp
from inference.api.settings import ApiSettings
from inference.api.state import open_state, state_of

_ABOUT: Final = """Who is this shopper? Send clickstream events, ask for personas, or follow them.

Every call but health needs `Authorization: Bearer sp_...`, a key of one store with the scopes that it names.
A key is a bucket of tokens, and a call costs what it makes the server do.
Buyer ids are the shop's own and are hashed before anything is stored. Errors are problem documents
(RFC 9457); `type` names the kind. After 429 and 503 wait for `Retry-After` seconds and send again.
"""


class Health(BaseModel):
    """Alive."""

    status: str = "ok"


def create_app(installation: Installation, settings: ApiSettings) -> FastAPI:
    """The app; clients are opened when it starts and closed when it ends."""
    app = DirectApp(
        title="simpersona persona API",
        version="1",
        description=_ABOUT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lambda served: _lifespan(served, installation, settings),
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,  # FastAPI's pages run scripts from elsewhere, on the origin of the dashboard's key
        redoc_url=None,
    )
    problems.install(app)
    for routes in (collector, personas, shopper, stream, history, consent, erasing, populations, script):
        app.include_router(routes.router)
    for router in installation.routers:
        app.include_router(router)
    _add_health(app)
    _document(app)
    require_keys(app)
    app.state.strangers = Strangers()
    app.add_middleware(Gate, settings=settings, strangers=app.state.strangers)
    app.add_middleware(PageCors, origins=settings.cors_origins)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, installation: Installation, settings: ApiSettings) -> AsyncIterator[None]:
    app.state.openapi = msgspec.json.encode(app.openapi())  # a third of a second, before anybody waits
    state = open_state(installation, settings, asyncio.Event())
    app.state.api, app.state.readiness = state, Readiness(state)
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
        """Warm: store and Kafka answer, erasures, keys and commands are read, the catalogue is loaded."""
        missing = await request.app.state.readiness.missing()
        if missing:
            raise ProblemError(503, "not-ready", "; ".join(missing), retry_after_s=1)
        return Health()

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        """The OpenAPI document."""
        return Response(request.app.state.openapi, media_type="application/json")

    @app.get(
        "/metrics", tags=["operation"], response_class=Response, responses=documented(401, 403, 429, 503)
    )
    async def metrics(request: Request, key: ReadsOperation) -> Response:
        """Prometheus metrics: of all processes that were started together."""
        state = state_of(request)
        state.metrics.waiting.set(state.producer.waiting)
        body = await state.work.run(key.store, state.metrics.text)
        return Response(body, media_type=CONTENT_TYPE_LATEST)


def _document(app: FastAPI) -> None:
    """Put the schemas of problems and of bodies into the OpenAPI document, where `documented` and
    `json_body` refer to them, and take FastAPI's own form of validation errors out."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (Problem, personas.Asked, populations.SampleAsked):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
