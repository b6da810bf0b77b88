"""Request bodies, bounded as sent and as unpacked."""

from __future__ import annotations

import zlib
from typing import Final

from fastapi import Request

from inference.api.problems import ProblemError
from inference.api.settings import ApiSettings

_GZIP: Final = 16 + zlib.MAX_WBITS


async def read_body(request: Request, settings: ApiSettings) -> bytes:
    """The body, unpacked where it came as gzip. Never holds more than the limits, whatever was sent.

    Raises:
        ProblemError: 413 too large, 415 another encoding, 400 broken gzip.
    """
    sent = bytearray()
    async for chunk in request.stream():
        sent += chunk
        if len(sent) > settings.max_body_bytes:
            raise too_large(settings.max_body_bytes)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return bytes(sent)
    if encoding != "gzip":
        raise ProblemError(415, "unknown-encoding", "Content-Encoding is gzip or absent")
    return _unpack(bytes(sent), settings.max_unpacked_bytes)


def too_large(limit: int) -> ProblemError:
    """The body is over a limit in bytes."""
    return ProblemError(413, "body-too-large", f"the body is larger than {limit} bytes; send it in parts")


def _unpack(packed: bytes, limit: int) -> bytes:
    """One gzip member or several, as RFC 1952 allows; stops at the limit instead of unpacking a bomb."""
    whole = bytearray()
    rest = packed
    try:
        while rest:
            member = zlib.decompressobj(_GZIP)
            whole += member.decompress(rest, limit + 1 - len(whole))
            if len(whole) > limit or member.unconsumed_tail:
                raise too_large(limit)
            if not member.eof:
                raise ProblemError(400, "broken-gzip", "the gzip body ends too early")
            rest = member.unused_data
    except zlib.error:
        raise ProblemError(400, "broken-gzip", "the body is not gzip") from None
    return bytes(whole)
