"""Pages of shops as callers: which origins a published key sends from, and what browsers are told (CORS).

Nothing here keeps out who is no browser: an Origin is what the sender says. It keeps other shops' pages from
sending with a key that they copied; what anybody can do with the key is bounded by its one scope, its rate
and its store.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from inference.errors import ApiKeyError

EVENTS_PATH: Final = "/v1/events"
SHOPPER_PATH: Final = "/v1/persona"
SANDBOX: Final = "null"
"""The origin of a sandboxed frame, which Shopify runs custom pixels in. Any sandboxed frame has it."""
_ORIGIN: Final = "simpersona.origin"
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_USUAL_PORTS: Final = {"http": 80, "https": 443}
_SHOWN: Final = 100
_KEPT_S: Final = "600"
_ANY_PAGE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Authorization",
    "Access-Control-Max-Age": _KEPT_S,
}


def parse_origin(text: str) -> str:
    """An origin as browsers write it: `https://shop.example`, with a port where it is not the usual one; or
    `null`.

    Raises:
        ApiKeyError: it is none.
    """
    if text == SANDBOX:
        return text
    parts, port = urlsplit(text.strip().lower()), None
    try:
        port = parts.port
        host = (
            (parts.hostname or "").encode("idna").decode()
            if "[" not in parts.netloc
            else f"[{parts.hostname}]"
        )
    except (ValueError, UnicodeError):
        host = ""
    rest = parts.path.rstrip("/") + parts.query + parts.fragment
    if parts.scheme not in _USUAL_PORTS or rest or "@" in parts.netloc or not _HOST.fullmatch(host):
        raise ApiKeyError(
            f"{text[:_SHOWN]!r} is no origin: write scheme and host of the shop's pages, as "
            f"https://shop.example, without a path and without *; {SANDBOX} for a sandboxed frame (Shopify)"
        )
    shown = "" if port in (None, _USUAL_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def fault_of(scope: Scope, origins: Sequence[str]) -> str | None:
    """Why a request does not come from a page of one of these origins; None: it does, and its answer will say
    that the page may read it."""
    origin = Headers(scope=scope).get("origin")
    if origin in origins:
        scope[_ORIGIN] = origin
        return None
    came = "none" if origin is None else repr(origin[:_SHOWN])
    return (
        f"this key sends from pages of the origins that it was made with (simpersona keys create --origin); "
        f"the request's Origin is {came}"
    )


def page_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Headers that let the page that a request came from read the answer; none for other requests."""
    origin = "*" if scope["path"] == SHOPPER_PATH else scope.get(_ORIGIN)
    if origin is None:
        return []
    return [
        (b"access-control-allow-origin", origin.encode()),
        (b"access-control-expose-headers", b"Retry-After"),
        (b"vary", b"Origin"),
    ]


def published_key(scope: Scope) -> str:
    """The key in the address of a request that sends events: a page's beacon can send no header. "": none."""
    if scope["path"] != EVENTS_PATH or b"key=" not in scope["query_string"]:
        return ""
    keys = parse_qs(scope["query_string"].decode("latin-1")).get("key", [])
    return keys[-1] if keys else ""


class PageCors:
    """Answers browsers that ask before they call. What may send events is the key's matter, so that is asked
    of the route; a shopper's token is no cookie, so a page of any origin may call with one; all else is for
    the origins of the setting."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._named = (
            app
            if not origins
            else CORSMiddleware(
                app,
                allow_origins=list(origins),
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "Content-Encoding", "Last-Event-ID"],
                expose_headers=["Retry-After"],
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and published_key(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == SHOPPER_PATH and scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_ANY_PAGE)(scope, receive, send)
        else:
            await self._named(scope, receive, send)
