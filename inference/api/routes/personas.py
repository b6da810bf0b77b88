"""Personas of buyers: what a storefront asks, a shopper at a time or a page of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from feature_store.contract.events import record_key
from feature_store.fold.funnel import Stratum
from feature_store.online.assignment import token
from feature_store.online.client import store_answers
from feature_store.online.reads import BuyerRead
from inference.api.access.permissions import ReadsPersonas
from inference.api.problems import ProblemError, documented
from inference.api.requests.bodies import json_body, take_model
from inference.api.requests.ids import Buyer, Pseudonym, RawId, Store
from inference.api.routes.collector import fresh_key
from inference.api.state import State, now_ms, state_of

Stage = Literal["purchased", "checkout", "cart", "browsing"]
Absence = Literal["unknown", "erased", "expired"]

_STAGES: Final[dict[Stratum, Stage]] = {"A": "purchased", "B": "checkout", "C": "cart", "D": "browsing"}
_DAY_MS: Final = 86_400_000
_AT_ONCE: Final = 100
"""Buyers read in one round trip."""
_WHY: Final[dict[Absence, str]] = {
    "unknown": "nothing was ever heard of this buyer",
    "erased": "this buyer was erased, and nothing was heard of them since",
    "expired": "this buyer's last event is too long ago",
}

router = APIRouter(tags=["personas"])


class PersonaAnswer(BaseModel):
    """Who a shopper is now.

    early: true while nothing was said of them yet; the answer is then the store's prior: its most common
    code, the type of most of its buyers, and their share as confidence. Times are ms since the epoch, UTC.
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
                    "type": "comparer",
                    "confidence": 0.81,
                    "distance": 0.42,
                    "margin": 0.1,
                    "codebook_version": "2026-11-23.1",
                    "events": 12,
                    "event_time": 1763900000123,
                    "assigned_at": 1763900000180,
                    "feature_age_ms": 1250,
                    "funnel_stage": "cart",
                }
            ]
        }
    )

    store: str
    buyer: str = Field(description="The pseudonym, as assignments on the stream have it.")
    early: bool
    code: int = Field(ge=0, le=255)
    token: str
    type: str | None = Field(description="Null where the bundle has no types.")
    confidence: float | None = Field(
        description="Probability that the type now shown is the type at the end of the session."
    )
    distance: float | None = Field(description="To the code's centre.")
    margin: float | None = Field(description="How much farther the next code is.")
    codebook_version: str
    events: int
    event_time: int | None = Field(description="Time of the buyer's last event.")
    assigned_at: int | None
    feature_age_ms: int | None = Field(description="How long ago the buyer's last event was.")
    funnel_stage: Stage | None = Field(description="How far the buyer ever came.")


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
    responses=documented(401, 403, 404, 422, 429, 503),
)
async def persona(
    request: Request, store: Store, buyer: Buyer, key: ReadsPersonas, pseudonym: Pseudonym = False
) -> PersonaAnswer:
    """Who is this buyer? `buyer` is the shop's own id, percent-encoded; it is hashed here.

    404 says why: `urn:simpersona:unknown-buyer`, `erased-buyer` or `expired-buyer`.
    """
    state = state_of(request)
    return await persona_of(state, store, state.pseudonym(store, buyer, pseudonym))


@router.post(
    "/v1/stores/{store}/personas",
    response_model=Personas,
    openapi_extra={"requestBody": json_body(Asked)},
    responses=documented(400, 401, 403, 408, 413, 415, 422, 429, 503),
)
async def personas(request: Request, store: Store, key: ReadsPersonas) -> Response:
    """Who are these buyers? Up to 1,000 at once."""
    state = state_of(request)
    asked = await take_model(request, key, Asked)
    if len(asked.buyers) > 1:
        await state.keys.charge(key, len(asked.buyers) - 1)
    buyers = [state.pseudonym(store, buyer, asked.pseudonyms) for buyer in asked.buyers]
    answers: list[PersonaAnswer | Absence] = []
    for start in range(0, len(buyers), _AT_ONCE):  # between two parts, others are answered
        answers += await _ask(state, store, buyers[start : start + _AT_ONCE])
    found = Personas(
        personas=[None if isinstance(answer, str) else answer for answer in answers],
        absent=[Absent(index=i, reason=a) for i, a in enumerate(answers) if isinstance(a, str)],
    )
    return Response(found.model_dump_json(), media_type="application/json")


async def persona_of(state: State, store: str, buyer: str) -> PersonaAnswer:
    """Who is this buyer, by pseudonym?

    Raises:
        ProblemError: 404 unknown, erased or expired.
    """
    (answer,) = await _ask(state, store, [buyer])
    if isinstance(answer, str):
        raise ProblemError(404, f"{answer}-buyer", _WHY[answer])
    return answer


async def _ask(state: State, store: str, buyers: Sequence[str]) -> list[PersonaAnswer | Absence]:
    keys = [record_key(store, buyer) for buyer in buyers]
    reads = [
        _without_erased(state, key, read)
        for key, read in zip(keys, await state.buyers.read(keys), strict=True)
    ]
    fresh = await _fresh(state, [key for key, read in zip(keys, reads, strict=True) if read.persona is None])
    answers = [
        _answer(state, store, buyer, key, read, key in fresh)
        for buyer, key, read in zip(buyers, keys, reads, strict=True)
    ]
    for answer in answers:
        outcome = answer if isinstance(answer, str) else "early" if answer.early else "said"
        state.metrics.personas.labels(outcome).inc()
    return answers


def _without_erased(state: State, key: bytes, read: BuyerRead) -> BuyerRead:
    """The rows without those from before an erasure, which the owner of the partition is yet to delete."""
    erasure = state.erasures.by_key.get(key)
    if erasure is None:
        return read
    persona = read.persona if read.persona and read.persona.offset >= erasure.before_offset else None
    progressed = read.state if read.state and read.state.since_offset >= erasure.before_offset else None
    return BuyerRead(persona, progressed)


async def _fresh(state: State, keys: Sequence[bytes]) -> set[bytes]:
    """Those of the keys of whom something was collected a moment ago."""
    if not keys:
        return set()
    with store_answers():
        noted = await state.redis.mget([fresh_key(key) for key in keys])
    return {key for key, note in zip(keys, noted, strict=True) if note is not None}


def _answer(
    state: State, store: str, buyer: str, key: bytes, read: BuyerRead, fresh: bool
) -> PersonaAnswer | Absence:
    persona, progressed = read
    if persona is None:
        if progressed is not None or fresh:
            return _early(state, store, buyer)
        return "erased" if key in state.erasures.by_key else "unknown"
    last_time = persona.event_time if progressed is None else max(persona.event_time, progressed.last_time)
    age = max(0, now_ms() - last_time)
    ttl = state.settings.persona_ttl_days
    if ttl is not None and age > ttl * _DAY_MS:
        return "expired"
    return PersonaAnswer(
        store=store,
        buyer=buyer,
        early=False,
        code=persona.code,
        token=persona.token,
        type=persona.type,
        confidence=persona.confidence,
        distance=persona.distance,
        margin=persona.margin,
        codebook_version=persona.codebook_version,
        events=persona.events,
        event_time=last_time,
        assigned_at=persona.assigned_at,
        feature_age_ms=age,
        funnel_stage=None if progressed is None else _STAGES[progressed.stratum],
    )


def _early(state: State, store: str, buyer: str) -> PersonaAnswer:
    model = state.models.model
    guess = model.guess(store)
    return PersonaAnswer(
        store=store,
        buyer=buyer,
        early=True,
        code=guess.code,
        token=token(guess.code),
        type=guess.type,
        confidence=guess.confidence,
        distance=None,
        margin=None,
        codebook_version=model.version,
        events=0,
        event_time=None,
        assigned_at=None,
        feature_age_ms=None,
        funnel_stage=None,
    )
