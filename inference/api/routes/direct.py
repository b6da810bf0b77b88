"""GET of a persona without the framework: what storefronts ask on every page.

FastAPI's routing, dependencies and responses cost several times the read itself. Here is the same question
with the same answer in plain ASGI. Whatever is not the plain case (a body, a page's origin, a name that does
not fit, an unusual query) is the framework's, whose route asks and answers the same.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Final, NamedTuple

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from feature_store.contract.names import is_name
from feature_store.errors import OnlineStoreError
from inference.api.access.permissions import admit, has_key, release
from inference.api.problems import ProblemError, problem_of, store_away
from inference.api.requests.gate import failed, observe, with_strict_headers
from inference.api.routes.answers import answers, begin
from inference.api.routes.personas import persona, persona_response, router
from inference.api.state import State

_ROUTE: Final = next(one for one in router.routes if isinstance(one, APIRoute) and one.endpoint is persona)
_QUERIES: Final = {b"": False, b"pseudonym=true": True, b"pseudonym=false": False}
_NOT_PLAIN: Final = frozenset({b"origin", b"content-length", b"transfer-encoding", b"expect"})
_MOST_CHARS: Final = 1_024


class _Question(NamedTuple):
    store: str
    buyer: str
    is_pseudonym: bool


class DirectApp(FastAPI):
    """An app that answers questions for one persona by itself, where they are plain."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        asked = _question(scope) if scope["type"] == "http" else None
        if asked is None:
            await super().__call__(scope, receive, send)
            return
        response = await self._answer(scope, asked)
        headers = with_strict_headers(response.raw_headers)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, scope: Scope, asked: _Question) -> Response:
        began = time.perf_counter()
        scope.update(app=self, route=_ROUTE, path_params={"store": asked.store})
        state: State = self.state.api
        try:
            response = await _asked(state, scope, asked)
        except ProblemError as error:
            response = problem_of(error)
            if error.status_code == HTTPStatus.UNAUTHORIZED:
                await self.state.strangers.wait()
        except OnlineStoreError as error:
            response = store_away(error)
        except Exception as error:  # the gate is behind this door, and sees no error of it
            response = failed(scope, error)
        release(scope)
        observe(scope, response.status_code, time.perf_counter() - began)
        return response


async def _asked(state: State, scope: Scope, asked: _Question) -> Response:
    """Key, tokens, rows and notes in one round trip."""
    asking = await begin(state, asked.store, [state.names(*asked)])
    try:
        await admit(scope)
        return persona_response(*await answers(state, asking))
    finally:
        asking.cancel()


def _question(scope: Scope) -> _Question | None:
    path: str = scope["path"]
    if not path.endswith("/persona") or scope["method"] != "GET":
        return None
    found, is_pseudonym = _ROUTE.path_regex.match(path), _QUERIES.get(scope["query_string"])
    if found is None or is_pseudonym is None or not has_key(scope):
        return None
    if any(name in _NOT_PLAIN for name, _ in scope["headers"]):
        return None
    store, buyer = found.groups()
    fits = is_name(store) and 0 < len(buyer) <= _MOST_CHARS and buyer.isprintable()
    return _Question(store, buyer, is_pseudonym) if fits else None
