"""The consent of a buyer, as the shop's server states it: withdrawn or given again (docs/adr/0061)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from feature_store.contract.erasure import Consent, ErasureRequest
from feature_store.contract.events import record_key
from inference.api.access.permissions import ErasesBuyers
from inference.api.problems import documented
from inference.api.requests.bodies import json_body, take_model
from inference.api.requests.ids import Buyer, Pseudonym, Store
from inference.api.requests.requested import audit, check_room, is_opted_out, note_and_ask
from inference.api.state import State, now_ms, state_of

log = structlog.get_logger(__name__)

router = APIRouter(tags=["consent"])


class Decision(BaseModel):
    """What a shopper decided."""

    given: bool = Field(description="false: consent is withdrawn. true: it is given, again or still.")


class ConsentState(BaseModel):
    """What is known of a buyer's consent. withdrawn: the buyer is erased, and nothing of theirs is folded
    until consent is given again. given: it was withdrawn, and given again. none: nobody stated anything, and
    events count. decided_at: ms UTC; null for none."""

    consent: Literal["withdrawn", "given", "none"]
    decided_at: Annotated[int | None, Field(examples=[1763900000123])]


@router.put(
    "/v1/stores/{store}/buyers/{buyer:path}/consent",
    status_code=202,
    openapi_extra={"requestBody": json_body(Decision)},
    responses=documented(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
)
async def decide(
    request: Request, store: Store, buyer: Buyer, key: ErasesBuyers, pseudonym: Pseudonym = False
) -> ConsentState:
    """Withdraw a buyer's consent, or give it again.

    202: the decision is a record in the log of the buyer's events. A withdrawal is an erasure that stays:
    what came before is void, and what comes after is left out, from whatever sender, until consent is given.
    Then a new life begins. A decision that is in force already changes nothing. It costs a key as much as
    SIMPERSONA_API_ERASE_COST requests; `GET .../erasure` says how far workers are, and the consent.
    """
    state = state_of(request)
    decided = await take_model(request, key, Decision)
    await state.keys.charge(key, state.settings.erase_cost - 1)  # the request itself has paid for one
    rows = [record_key(store, name) for name in state.names(store, buyer, pseudonym)]
    wanted = [row for row in rows if is_opted_out(state, row) is decided.given]
    if wanted:
        check_room(state, store, wanted)
        stated: Consent = "given" if decided.given else "withdrawn"
        asked = ErasureRequest(requested_at=now_ms(), request=secrets.token_hex(6), consent=stated)
        await audit(state, asked, store, key)
        await note_and_ask(state, wanted, asked)
        log.info("consent_stated", store=store, key=key.id, consent=stated, request=asked.request)
    return _state(state, rows)


def _state(state: State, rows: Sequence[bytes]) -> ConsentState:
    """Of a buyer with several names: withdrawn if it is of any of them."""
    stated = [it for row in rows if (it := state.erasures.by_key.get(row)) and it.consent is not None]
    found = max(stated, key=lambda it: (it.is_opted_out, it.requested_at), default=None)
    if found is None or found.consent is None:
        return ConsentState(consent="none", decided_at=None)
    return ConsentState(consent=found.consent, decided_at=found.requested_at)
