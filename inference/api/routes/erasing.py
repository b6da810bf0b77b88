"""DELETE of a buyer: the same path as `simpersona erase` (docs/adr/0033), asked for over HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from feature_store.contract.erasure import Consent, Erasure, ErasureRequest, in_words
from feature_store.contract.events import record_key
from feature_store.online.client import store_answers
from inference.api.access.permissions import ErasesBuyers
from inference.api.problems import ProblemError, documented
from inference.api.requests.ids import Buyer, Pseudonym, Store
from inference.api.requests.notes import decode_requested, requested_key
from inference.api.requests.requested import audit, check_room, note_and_ask
from inference.api.state import State, now_ms, state_of

log = structlog.get_logger(__name__)

_FURTHEST_FIRST: Final = ("requested", "done", "none")
_OTHER_PATHS: Final = ("/persona", "/erasure", "/consent", "/why", "/report")
"""Ids may hold slashes, so these paths would name buyers, too: whom nobody meant."""

router = APIRouter(tags=["erasure"])


class Remaining(BaseModel):
    """Something that is left of an erased buyer. until: ms UTC; null where no time can be told: see note."""

    what: str = Field(examples=["topic clickstream"])
    until: int | None
    note: str


class ErasureStatus(BaseModel):
    """How far an erasure is. requested: it waits for the worker that owns the buyer's partition; from now on
    nobody is answered about what came before. done: that worker has passed the request in the log, and rows
    are gone. none: never asked for, or so long ago that nothing of before can be read anywhere. Times are ms
    UTC. What came before `before_offset` in the buyer's partition is void; workers have come to `folded`."""

    state: Literal["requested", "done", "none"]
    request_id: str | None = Field(description="The same as in the audit log.", examples=["e5c2a90b41d7"])
    requested_at: int | None
    erased_at: int | None
    before_offset: int | None = Field(examples=[1843])
    folded: int | None = Field(examples=[1843])
    consent: Consent | None = Field(
        None, description="What the shopper decided last: withdrawn, or given again; null: nothing."
    )
    remains: str = Field(description="`remaining` in words.")
    remaining: list[Remaining]
    status_url: str = Field(examples=["/v1/stores/acme/buyers/4711/erasure"])


@router.get(
    "/v1/stores/{store}/buyers/{buyer:path}/erasure", responses=documented(401, 403, 404, 422, 429, 503)
)
async def erasure(
    request: Request, store: Store, buyer: Buyer, key: ErasesBuyers, pseudonym: Pseudonym = False
) -> ErasureStatus:
    """How far the erasure of a buyer is."""
    state = state_of(request)
    rows = [record_key(store, name) for name in state.names(store, buyer, pseudonym)]
    status = await _status(state, key.store, rows, _status_url(request, store, buyer, pseudonym))
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

    202: the request is a record in the log of the buyer's events, and voids all before it, read or not. From
    now on nobody is answered about that. Ask `status_url` until it says `done`: workers have passed the
    request (a second, where they keep up). What the buyer does later is a new life. It costs a key as much as
    SIMPERSONA_API_ERASE_COST requests.
    """
    if buyer.endswith(_OTHER_PATHS):
        raise ProblemError(405, "method-not-allowed", "DELETE is for a buyer, not for what is told of one")
    state = state_of(request)
    await state.keys.charge(key, state.settings.erase_cost - 1)  # the request itself has paid for one
    rows = [record_key(store, name) for name in state.names(store, buyer, pseudonym)]
    check_room(state, store, rows)
    asked = ErasureRequest(requested_at=now_ms(), request=secrets.token_hex(6))
    await audit(state, asked, store, key)
    await note_and_ask(state, rows, asked)
    log.info("erasure_requested", store=store, key=key.id, request=asked.request)
    return await _status(state, key.store, rows, _status_url(request, store, buyer, pseudonym))


def _status_url(request: Request, store: str, buyer: str, pseudonym: bool) -> str:
    path = request.app.url_path_for("erasure", store=store, buyer=quote(buyer, safe=""))
    return f"{path}?pseudonym=true" if pseudonym else str(path)


async def _status(state: State, tenant: str, rows: Sequence[bytes], status_url: str) -> ErasureStatus:
    """Of a buyer with several names: of the name whose erasure is the furthest from done."""
    found = [await _status_of_name(state, tenant, row, status_url) for row in rows]
    return min(found, key=lambda status: _FURTHEST_FIRST.index(status.state))


async def _status_of_name(state: State, tenant: str, row: bytes, status_url: str) -> ErasureStatus:
    with store_answers():
        noted = await state.store.get(requested_key(row))
    asked = None if noted is None else decode_requested(noted)
    known = state.erasures.by_key.get(row)
    if known is not None and asked is not None and known.requested_at < asked.at:
        known = None  # of an earlier request
    folded = None if known is None else await state.buyers.folded(known.partition)
    is_done = known is not None and folded is not None and await _is_done(state, row, known, folded)
    since = known.erased_at if known is not None and known.erased_at is not None else now_ms()
    left = await state.asking_kafka.run(tenant, state.installation.remains, since)
    return ErasureStatus(
        state="done" if is_done else "requested" if asked or known else "none",
        request_id=known.request if known is not None else asked and asked.request_id,
        requested_at=known.requested_at if known is not None else asked and asked.at,
        erased_at=known.erased_at if known is not None and is_done else None,
        before_offset=known and known.before_offset,
        folded=folded,
        consent=known and known.consent,
        remains=in_words(left),
        remaining=[Remaining(what=it.what, until=it.until, note=it.note) for it in left],
        status_url=status_url,
    )


async def _is_done(state: State, row: bytes, erasure: Erasure, folded: int) -> bool:
    """Whether workers have passed the request, and no row of before is left."""
    if folded < erasure.before_offset:
        return False
    (read,) = await state.buyers.read([row])
    is_assigned = read.persona is not None and read.persona.offset < erasure.before_offset
    kept = read.state is not None and read.state.since_offset < erasure.before_offset
    return not is_assigned and not kept
