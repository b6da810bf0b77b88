"""GET /simpersona.js: the script of clients/browser, for pages of any shop. It holds nothing but itself."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

SCRIPT: Final = Path(__file__).with_name("simpersona.js")
"""In a checkout a link to clients/browser/simpersona.js; in a wheel the file itself."""
_SCRIPT: Final = SCRIPT.read_bytes()
_PACKED: Final = gzip.compress(_SCRIPT, 9, mtime=0)
_ETAG: Final = f'W/"{hashlib.sha256(_SCRIPT).hexdigest()[:32]}"'
_HEADERS: Final = {
    "Cache-Control": "public, max-age=3600",
    "ETag": _ETAG,
    "Vary": "Accept-Encoding",
    "Access-Control-Allow-Origin": "*",  # what `integrity` needs
    "Cross-Origin-Resource-Policy": "cross-origin",
}

router = APIRouter()


@router.get("/simpersona.js", include_in_schema=False)
async def script(request: Request) -> Response:
    """The script; 304 where the browser has this one."""
    if _ETAG in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=_HEADERS)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(_SCRIPT, media_type="text/javascript", headers=_HEADERS)
    packed = {**_HEADERS, "Content-Encoding": "gzip"}
    return Response(_PACKED, media_type="text/javascript", headers=packed)
