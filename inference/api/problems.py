"""Errors as RFC 9457 problem documents: one form for everything that goes wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from feature_store.errors import OnlineStoreError
from inference.errors import ProfileError

log = structlog.get_logger(__name__)

_MEDIA: Final = "application/problem+json"
_RETRY_S: Final = 2
_MOST_ERRORS: Final = 20


class Problem(BaseModel):
    """What went wrong (RFC 9457). `type` names the kind for programs, `detail` tells a person."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:simpersona:unknown-buyer"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["nothing was ever heard of this buyer"])


class ProblemError(HTTPException):
    """Raise it anywhere in a request to answer with a problem document.

    kind is a slug, part of the interface; more are extra members of the document. retry_after_s becomes the
    header Retry-After, in whole seconds.
    """

    def __init__(
        self, status: int, kind: str, detail: str, *, retry_after_s: float | None = None, **more: Any
    ) -> None:
        headers = {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
        if status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        super().__init__(status, detail, headers)
        self.kind, self.more = kind, more


def unavailable(detail: str) -> ProblemError:
    """A part that the API needs is away; the request may be sent again."""
    return ProblemError(503, "unavailable", detail, retry_after_s=_RETRY_S)


def too_large(limit: int) -> ProblemError:
    """The body is over a limit in bytes."""
    return ProblemError(413, "body-too-large", f"the body is larger than {limit} bytes; send it in parts")


def invalid_request(found: Iterable[tuple[Sequence[str | int], str]]) -> ProblemError:
    """The request does not fit: (where, what) of the first of its errors, without what was sent there: it
    may be a buyer's id, and it is the sender's own anyway."""
    errors = [{"at": ".".join(map(str, place)), "detail": detail} for place, detail in found][:_MOST_ERRORS]
    return ProblemError(422, "invalid-request", "the request does not fit; see errors", errors=errors)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for the OpenAPI document."""
    return {status: _documented(HTTPStatus(status)) for status in statuses}


def _documented(status: HTTPStatus) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": status.phrase,
        "content": {_MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        found["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return found


def problem_response(
    status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """The document itself."""
    content = {
        "type": f"urn:simpersona:{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return Response(msgspec.json.encode(content), status, dict(headers or {}), _MEDIA)


def problem_of(error: ProblemError) -> Response:
    """The document of an error."""
    return problem_response(error.status_code, error.kind, str(error.detail), error.headers, **error.more)


def install(app: FastAPI) -> None:
    """Let every error of this app be answered as a problem document."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(OnlineStoreError, _store_error)
    app.add_exception_handler(ProfileError, _profile_error)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, ProblemError):
        return problem_of(error)
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return problem_response(error.status_code, kind, str(error.detail), error.headers)


async def _validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _http_error(_request, invalid_request((one["loc"], one["msg"]) for one in error.errors()))


async def _store_error(_request: Request, error: Exception) -> Response:
    return store_away(error)


def store_away(error: Exception) -> Response:
    """The document of an OnlineStoreError."""
    log.warning("store_away", error=str(error))
    headers = {"Retry-After": str(_RETRY_S)}
    return problem_response(503, "unavailable", "the online store does not answer", headers)


async def _profile_error(_request: Request, error: Exception) -> Response:
    return problem_response(503, "no-reference", str(error), {"Retry-After": str(_RETRY_S)})
