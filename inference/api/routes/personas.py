"""Personas of buyers: what a storefront asks, a shopper at a time or a page of them."""

from __future__ import annotations

from typing import Final

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from inference.api.access.keys import Scope
from inference.api.access.permissions import ReadsPersonas, check_scope
from inference.api.bounds.costs import HISTORY, REQUEST
from inference.api.problems import ProblemError, documented
from inference.api.requests.bodies import json_body, take_model
from inference.api.requests.ids import Buyer, Pseudonym, RawId, Store
from inference.api.routes.answers import WHY, Absence, Answer, Stage, answers, begin
from inference.api.routes.history import At, PersonaAsOf, look_back
from inference.api.state import state_of

_AT_ONCE: Final = 100
"""Buyers read in one round trip, and answered before others are."""

router = APIRouter(tags=["personas"])


class Facts(BaseModel):
    """What has happened, over the buyer's whole history."""

    has_carted: bool
    has_bought: bool
    visits: int = Field(description="Sessions so far, this one included.")


class PersonaAnswer(BaseModel):
    """Who a shopper is now: facts (what has happened), and forecasts (what may come) in fields of their own.

    early: true while nothing was assigned to them yet; the answer is then the store's prior: its most common
    code, and as forecast the type of most of its buyers with their share. events, event_time, funnel_stage
    and facts are those of the last event that workers have folded; code, type and probabilities are as
    assigned. Times are ms since the epoch, UTC.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "store": "acme",
                    "buyer": "9f2c4d1e0b8a7f65",
                    "early": False,
                    "code": 17,
                    "token": "<|persona_17|>",
                    "type": "cart-builder",
                    "confidence": 0.71,
                    "forecast": "one-visit-buyer",
                    "forecast_probability": 0.23,
                    "distance": 0.42,
                    "margin": 0.1,
                    "codebook_version": "2026-11-23.1",
                    "events": 12,
                    "event_time": 1763900000123,
                    "assigned_at": 1763900000180,
                    "feature_age_ms": 1250,
                    "funnel_stage": "cart",
                    "facts": {"has_carted": True, "has_bought": False, "visits": 1},
                }
            ]
        }
    )

    store: str
    buyer: str = Field(description="The pseudonym, as assignments on the stream have it.")
    early: bool
    code: int = Field(ge=0, le=255)
    token: str
    type: str | None = Field(
        description="What holds now; no fact denies it. Null where the bundle has no types, and while early."
    )
    confidence: float | None = Field(
        description="Probability that type is still the buyer's type at the end of the session. Null where "
        "nothing can be stated: the bundle has not seen this shop."
    )
    forecast: str | None = Field(
        description="The type that is most likely at the end of the session. Null where none can be stated."
    )
    forecast_probability: float | None = Field(description="Probability of forecast.")
    distance: float | None = Field(description="To the code's centre.")
    margin: float | None = Field(description="How much farther the next code is.")
    codebook_version: str
    events: int
    event_time: int | None = Field(description="Time of the buyer's last event.")
    assigned_at: int | None
    feature_age_ms: int | None = Field(description="How long ago the buyer's last event was.")
    funnel_stage: Stage | None = Field(description="How far the buyer ever came.")
    facts: Facts | None = Field(description="Null where nothing is folded yet.")


class Asked(BaseModel):
    """Buyers by the shop's own ids."""

    buyers: list[RawId] = Field(min_length=1, max_length=1_000, examples=[["4711", "4712"]])
    pseudonyms: bool = Field(default=False, description="They are pseudonyms, as assignments have them.")


class Absent(BaseModel):
    """A buyer without a persona."""

    index: int = Field(description="Which of the buyers asked for.")
    reason: Absence


class Personas(BaseModel):
    """Answers in the order asked, null for those who are in `absent`."""

    personas: list[PersonaAnswer | None]
    absent: list[Absent]


@router.get(
    "/v1/stores/{store}/buyers/{buyer:path}/persona",
    response_model=PersonaAnswer | PersonaAsOf,
    responses=documented(401, 403, 404, 422, 429, 503),
)
async def persona(
    request: Request,
    store: Store,
    buyer: Buyer,
    key: ReadsPersonas,
    pseudonym: Pseudonym = False,
    at: At = None,
) -> Response:
    """Who is this buyer? `buyer` is the shop's own id, percent-encoded; it is hashed here.

    404 says why: `urn:simpersona:unknown-buyer`, `erased-buyer` or `expired-buyer`.

    With `at`: who were they then? The answer is the assignment that held, and whether their events, folded
    again, give the same. It needs a key with `history:read`, costs as much as 50 requests, and is a line of
    the audit log. 404 `nothing-assigned`: they had no persona yet. 422 `no-such-moment`: no moment, one in
    the future, or one that retention has deleted.
    """
    state = state_of(request)
    if at is not None:
        check_scope(key, Scope.HISTORY_READ)
        await state.keys.charge(key, HISTORY - REQUEST)
        look, names = state.installation.history.as_of, state.names(store, buyer, pseudonym)
        found = await look_back(state, key, store, names, at, look, "read_as_of")
        return Response(msgspec.json.encode(found), media_type="application/json")
    asking = await begin(state, store, [state.names(store, buyer, pseudonym)])
    return persona_response(*await answers(state, asking))


def persona_response(answer: Answer | Absence) -> Response:
    """The answer to a question for one buyer.

    Raises:
        ProblemError: 404, they have no persona.
    """
    if isinstance(answer, str):
        raise ProblemError(404, f"{answer}-buyer", WHY[answer])
    return Response(msgspec.json.encode(answer), media_type="application/json")


@router.post(
    "/v1/stores/{store}/personas",
    response_model=Personas,
    openapi_extra={"requestBody": json_body(Asked)},
    responses=documented(400, 401, 403, 408, 413, 415, 422, 429, 503),
)
async def personas(request: Request, store: Store, key: ReadsPersonas) -> Response:
    """Who are these buyers? Up to 1,000 at once; each costs as much as a question for one."""
    state = state_of(request)
    asked = await take_model(request, key, Asked)
    if len(asked.buyers) > 1:
        await state.keys.charge(key, len(asked.buyers) - 1)
    buyers = [state.names(store, buyer, asked.pseudonyms) for buyer in asked.buyers]
    found: list[Answer | Absence] = []
    for start in range(0, len(buyers), _AT_ONCE):  # between two parts, others are answered
        found += await answers(state, await begin(state, store, buyers[start : start + _AT_ONCE]))
    body = {
        "personas": [None if isinstance(answer, str) else answer for answer in found],
        "absent": [{"index": i, "reason": a} for i, a in enumerate(found) if isinstance(a, str)],
    }
    return Response(msgspec.json.encode(body), media_type="application/json")
