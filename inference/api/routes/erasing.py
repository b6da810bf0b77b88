"""DELETE of a buyer: the same path as `simpersona erase` (docs/adr/0008), asked for over HTTP."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final, Literal
from urllib.parse import quote

import msgspec
import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from feature_store.contract.events import record_key
from feature_store.online.client import store_answers
from inference.api.access.audit import AuditLine, write_audit
from inference.api.access.permissions import ErasesBuyers
from inference.api.ids import Buyer, Pseudonym, Store
from inference.api.problems import ProblemError, documented, unavailable
from inference.api.routes.collector import fresh_key
from inference.api.state import State, now_ms, state_of

log = structlog.get_logger(__name__)

_KEPT_S: Final = 30 * 86_400
_REMAINS: Final = (
    "Records on the topics clickstream and persona-assignments stay until their retention deletes them; no "
    "reader of ours uses them. The topic simpersona-erasures keeps the pseudonym, so that no replay brings "
    "the buyer back."
)

_OTHER_PATHS: Final = ("/persona", "/erasure")
"""Ids may hold slashes, so these paths would name buyers, too: whom nobody meant."""

router = APIRouter(tags=["erasure"])


class ErasureStatus(BaseModel):
    """How far an erasure is. requested: waits for the worker that owns the buyer's partition. done: rows are
    gone, and every reader leaves out what came before. none: never asked for. Times are ms UTC."""

    state: Literal["requested", "done", "none"]
    request_id: str | None = Field(description="The same as in the audit log.", examples=["e5c2a90b41d7"])
    requested_at: int | None
    erased_at: int | None
    remains: str = Field(examples=[_REMAINS])
    status_url: str = Field(examples=["/v1/stores/acme/buyers/4711/erasure"])


class _Requested(msgspec.Struct, frozen=True):
    request_id: str
    at: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Requested).decode


@router.get(
    "/v1/stores/{store}/buyers/{buyer:path}/erasure", responses=documented(401, 403, 404, 422, 429, 503)
)
async def erasure(
    request: Request, store: Store, buyer: Buyer, key: ErasesBuyers, pseudonym: Pseudonym = False
) -> ErasureStatus:
    """How far the erasure of a buyer is."""
    state = state_of(request)
    named = state.pseudonym(store, buyer, pseudonym)
    status = await _status(state, record_key(store, named), _status_url(request, store, buyer, pseudonym))
    if status.state == "none":
        raise ProblemError(404, "no-erasure", "nobody asked to erase this buyer")
    return status


@router.delete(
    "/v1/stores/{store}/buyers/{buyer:path}",
    status_code=202,
    responses=documented(401, 403, 404, 405, 422, 429, 503),
)
async def erase(
    request: Request, store: Store, buyer: Buyer, key: ErasesBuyers, pseudonym: Pseudonym = False
) -> ErasureStatus:
    """Erase a buyer: rows, caches, archive, and every later replay or training.

    202: the request is stored by Kafka and will be honoured, also by a worker that starts later; ask
    `status_url` until it says `done` (a second, where workers run). What the buyer does later is a new life.
    """
    if buyer.endswith(_OTHER_PATHS):
        raise ProblemError(405, "method-not-allowed", "DELETE is for a buyer, not for what is told of one")
    state = state_of(request)
    named = state.pseudonym(store, buyer, pseudonym)
    asked = _Requested(secrets.token_hex(6), now_ms())
    line = AuditLine(at=asked.at, action="erase", store=store, key=key.id, request=asked.request_id)
    try:
        await asyncio.to_thread(write_audit, state.installation.home, line)
    except OSError as error:
        log.error("audit_failed", error=str(error))
        raise unavailable("the audit log cannot be written, so nothing was erased") from None
    row = record_key(store, named)
    with store_answers():
        pipe = state.redis.pipeline(transaction=False)
        pipe.set(_requested_key(row), _encode(asked), ex=_KEPT_S)
        pipe.delete(fresh_key(row))
        await pipe.execute()
    command = state.installation.erase_command(store, named, asked.at)
    await state.producer.send(state.installation.control_topic, [(None, command)])
    log.info("erasure_requested", store=store, key=key.id, request=asked.request_id)
    return await _status(state, row, _status_url(request, store, buyer, pseudonym))


def _status_url(request: Request, store: str, buyer: str, pseudonym: bool) -> str:
    path = request.app.url_path_for("erasure", store=store, buyer=quote(buyer, safe=""))
    return f"{path}?pseudonym=true" if pseudonym else str(path)


async def _status(state: State, row: bytes, status_url: str) -> ErasureStatus:
    with store_answers():
        noted = await state.redis.get(_requested_key(row))
    asked = None if noted is None else _decode(noted)
    known = state.erasures.get(row)
    honoured = known if known and (asked is None or known.requested_at >= asked.at) else None
    if honoured is not None:
        (read,) = await state.buyers.read([row])
        said = read.persona is not None and read.persona.offset < honoured.before_offset
        if said or (read.state is not None and read.state.since_offset < honoured.before_offset):
            honoured = None  # recorded, and the rows go with the owner's next checkpoint
    return ErasureStatus(
        state="done" if honoured else "requested" if asked or known else "none",
        request_id=asked and asked.request_id,
        requested_at=asked.at if asked else known.requested_at if known else None,
        erased_at=honoured and honoured.erased_at,
        remains=_REMAINS,
        status_url=status_url,
    )


def _requested_key(row: bytes) -> bytes:
    return b"simpersona-api:erasure:" + row
