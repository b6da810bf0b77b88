"""Serves the dashboard page: one file, and headers that let it do nothing but ask this server.

Its script and styles run because their hashes are in the policy, so markup that came in some other way, from
a shop's data or an extension of ours gone wrong, would not.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

PAGE: Final = Path(__file__).with_name("page.html")
_INLINE: Final = re.compile(r"<(script|style)\b[^>]*>(.*?)</\1>", re.DOTALL)


def policy(page: str) -> str:
    """The Content-Security-Policy under which the page's own inline script and styles run, and no others."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(hashes['script'])}",
            f"style-src {' '.join(hashes['style'])}",
            "img-src data:",  # the icon in the page itself
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def page_router() -> APIRouter:
    """GET /: the page. It holds nothing but itself, so it needs no key; what it shows does."""
    page = PAGE.read_text(encoding="utf-8")
    headers = {
        "Content-Security-Policy": policy(page),
        "Cache-Control": "no-cache",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def dashboard() -> Response:
        """The dashboard."""
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)

    return router
