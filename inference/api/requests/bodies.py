"""Request bodies: unpacked within bounds, looked at before they are built, away from the event loop, and
paid for."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from inference.api.access.keys import KeyRecord
from inference.api.bounds.costs import Meter
from inference.api.bounds.json_text import JsonText
from inference.api.problems import ProblemError, invalid_request, too_large
from inference.api.state import state_of

_GZIP: Final = 16 + zlib.MAX_WBITS
_STEP: Final = 16_384
"""Packed bytes given to the decompressor at once: it copies what it leaves, so little is at stake at a
member's end."""
_SMALL: Final = 4_096
"""Bytes of a body that is dealt with at once: a thread's turn would take longer."""
_MOST_VALUES: Final = 4_000
_DEEPEST: Final = 8

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


async def take_body(request: Request, key: KeyRecord, take: Callable[[bytes, Meter], T]) -> T:
    """Read the body and let `take` make something of it; the key pays for what was read, whatever comes of
    it.

    take: (the body, unpacked; the meter, which it tells the items of). It runs in a thread, when it is the
    store's turn, unless the body is small.

    Raises:
        ProblemError: 413 too large, 415 another encoding, 400 broken gzip, 429 the store has enough under
        way, and what
            `take` raises.
    """
    state = state_of(request)
    packed = _packed(request)
    sent = await request.body()
    meter = Meter(bytes=len(sent))

    def taken() -> T:
        body = unpack(sent, state.settings.max_unpacked_bytes, state.settings.max_gzip_members, meter)
        return take(body, meter)

    try:
        if packed:
            return await state.work.run(key.holder, taken)
        if len(sent) > _SMALL:
            return await state.work.run(key.holder, take, sent, meter)
        return take(sent, meter)
    finally:
        if meter.tokens:
            await state.keys.charge(key, meter.tokens)


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """The `requestBody` of a route for the OpenAPI document, where the app puts the model's schema."""
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"required": True, "content": {"application/json": {"schema": reference}}}


async def take_model(request: Request, key: KeyRecord, model: type[M]) -> M:
    """The body as one of the small requests of this API.

    Raises:
        ProblemError: see `take_body`; 400 not JSON, 413 too much of it, 422 it does not fit.
    """

    def taken(body: bytes, _meter: Meter) -> M:
        text = JsonText(body)
        text.check(text.whole, _MOST_VALUES, _DEEPEST)
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
        if any(one["type"] == "json_invalid" for one in found):
            raise ProblemError(400, "not-json", "the body is not JSON")
        raise invalid_request((("body", *one["loc"]), one["msg"]) for one in found)

    return await take_body(request, key, taken)


def _packed(request: Request) -> bool:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise ProblemError(415, "unknown-encoding", "Content-Encoding is gzip or absent")
    return encoding == "gzip"


def unpack(packed: bytes, limit: int, members: int, meter: Meter) -> bytes:
    """A gzip body of one member or several, as RFC 1952 allows; stops at the limit instead of unpacking a
    bomb.

    Time is linear in what is read and written, however many members there are. The meter is told what was
    unpacked.

    Raises:
        ProblemError: 413 larger than `limit` bytes, 400 broken, or of more than `members` members.
    """
    whole, at, view = bytearray(), 0, memoryview(packed)
    try:
        for _ in range(members):
            at = _unpack_member(view, at, whole, limit)
            meter.bytes = max(meter.bytes, len(whole))
            if len(whole) > limit:
                raise too_large(limit)
            if at == len(packed):
                return bytes(whole)
    except zlib.error:
        raise ProblemError(400, "broken-gzip", "the body is not gzip") from None
    raise ProblemError(400, "broken-gzip", f"the gzip body has more than {members} members; pack it as one")


def _unpack_member(packed: memoryview, at: int, whole: bytearray, limit: int) -> int:
    """Append the member that begins at `at`; the place after it. What exceeds the limit by a byte is left."""
    member = zlib.decompressobj(_GZIP)
    while not member.eof and len(whole) <= limit:
        if at == len(packed):
            raise ProblemError(400, "broken-gzip", "the gzip body ends too early")
        step = packed[at : at + _STEP]
        whole += member.decompress(step, limit + 1 - len(whole))
        at += len(step) - len(member.unused_data) - len(member.unconsumed_tail)
    return at
