"""How a page learns its own shopper's persona: the shop's server makes a token, the page reads with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from inference.api.access.permissions import CreatesTokens, OneShopper
from inference.api.access.tokens import ShopperClaims
from inference.api.problems import ProblemError, documented
from inference.api.requests.ids import Buyer, Pseudonym, Store
from inference.api.routes.answers import WHY, Absence, Answer, answers, begin
from inference.api.state import State, now_ms, state_of

_USUAL_S: Final = 300
_LONGEST_S: Final = 3_600
_ERASED: Final = "erased"

router = APIRouter(tags=["shoppers"])


class ShopperToken(BaseModel):
    """Give `token` to the page of this shopper and to nobody else. expires_at: ms since the epoch, UTC."""

    token: str = Field(examples=["spt_eyJzdG9yZSI6ImFjbWUi.kq0f"])
    expires_at: int


class ShopperPersona(BaseModel):
    """Who the shopper is now, for the shopper's own page: PersonaAnswer without ids, counts and times."""

    early: bool
    code: int = Field(ge=0, le=255)
    token: str
    type: str | None
    confidence: float | None
    forecast: str | None
    forecast_probability: float | None
    codebook_version: str


@router.post(
    "/v1/stores/{store}/buyers/{buyer:path}/token", responses=documented(401, 403, 404, 422, 429, 503)
)
async def create_token(
    request: Request,
    store: Store,
    buyer: Buyer,
    key: CreatesTokens,
    pseudonym: Pseudonym = False,
    seconds: Annotated[int, Query(ge=1, le=_LONGEST_S, description="How long it holds.")] = _USUAL_S,
) -> ShopperToken:
    """Make a token with which a page reads this one buyer's persona (`GET /v1/persona`).

    Make it for the buyer of the session that asks, never for an id that the page sends: a token for any id is
    a look at anybody. A buyer of whom nothing was heard yet gets one too; 404: the buyer was erased.
    """
    state = state_of(request)
    names, until = state.names(store, buyer, pseudonym), now_ms() + seconds * 1_000
    if await _answer(state, store, names) == _ERASED:
        raise ProblemError(404, f"{_ERASED}-buyer", WHY[_ERASED])
    oldest = names[-1]  # of which the others are made
    claims = ShopperClaims(store=store, buyer=oldest, key=key.id, until=until)
    return ShopperToken(token=state.tokens.make(claims), expires_at=until)


@router.get("/v1/persona", responses=documented(401, 403, 404, 429, 503))
async def own_persona(request: Request, shopper: OneShopper) -> ShopperPersona:
    """Who is the shopper of this token? For pages of any origin; nothing is kept by browsers or proxies.

    404 says why: `urn:simpersona:unknown-buyer`, `erased-buyer` or `expired-buyer`.
    """
    state = state_of(request)
    answer = await _answer(state, shopper.store, state.names(shopper.store, shopper.buyer, True))
    if isinstance(answer, str):
        raise ProblemError(404, f"{answer}-buyer", WHY[answer])
    return ShopperPersona.model_validate(answer)


async def _answer(state: State, store: str, names: Sequence[str]) -> Answer | Absence:
    (answer,) = await answers(state, await begin(state, store, [names]))
    return answer
