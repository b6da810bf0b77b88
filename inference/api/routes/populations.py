"""The catalogue, and populations of stores: who their buyers are, and tokens drawn from that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from fastapi import APIRouter, Path, Request
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from starlette.responses import Response

from feature_store.online.assignment import token
from inference.api.access.keys import ALL_STORES, KeyRecord, Scope
from inference.api.access.permissions import ReadsPersonas, allowed
from inference.api.bounds.costs import CATALOGUE, COUNTS, REQUEST, SAMPLES_PER_TOKEN
from inference.api.problems import ProblemError, documented
from inference.api.requests.bodies import json_body, take_model
from inference.api.requests.ids import Store
from inference.api.served_model import ServedModel
from inference.api.state import state_of
from inference.bundles.catalogue import CodeCard
from inference.counts.profile import buyers as buyers_of
from inference.counts.profile import code_shares
from inference.counts.windows import OTHERS
from inference.encoders.graph import CODES
from inference.errors import CatalogueError, ProfileError, SamplingError
from inference.population import Mix, draw_codes, only_codes

_MINUTE_MS: Final = 60_000
_PART: Final = 5_000
_TOKENS: Final = [msgspec.json.encode(token(code)) for code in range(CODES)]

router = APIRouter(tags=["catalogue"])

ReadsCatalogue = Annotated[KeyRecord, allowed(Scope.PERSONAS_READ, CATALOGUE)]
ReadsCounts = Annotated[KeyRecord, allowed(Scope.PERSONAS_READ, COUNTS)]
Numbers = Annotated[list[float], Field(min_length=256, max_length=256)]


class TypeShare(BaseModel):
    """A type's share among buyers."""

    name: str = Field(examples=["comparer"])
    now: float | None
    reference: float | None


class Distribution(BaseModel):
    """p_s(k), 256 shares in the order of codes. Null where nobody was counted."""

    store: str
    codebook_version: str
    now: Numbers | None = Field(description="Of the buyers of the last minutes of event time.")
    now_minutes: float
    now_buyers: int = Field(description="A buyer counts once in each window of event time.")
    reference: Numbers | None = Field(
        description="Of the store's training buyers, drawn towards all stores'."
    )
    reference_buyers: int
    types: list[TypeShare]


class StoreBuyers(BaseModel):
    """A store, and how many buyers were counted there in the last minutes of event time."""

    store: str = Field(examples=["acme"])
    buyers: int


class Stores(BaseModel):
    """The stores of a key, the busiest first."""

    every: bool = Field(description="An operator's key, which is also of stores that were quiet lately.")
    stores: list[StoreBuyers]


class Filter(BaseModel):
    """Which buyers to draw."""

    types: list[str] = Field(
        default_factory=list, description="Only buyers of these types.", examples=[["comparer"]]
    )


class SampleAsked(BaseModel):
    """How many tokens to draw, and how."""

    n: int = Field(ge=0, le=100_000, examples=[100])
    seed: int = Field(default=0, ge=0, lt=2**63, description="Same seed and mix, same tokens.")
    filter: Filter = Field(default_factory=Filter)


class Sample(BaseModel):
    """Tokens drawn from the reference p_s(k), and what that rests on."""

    store: str
    codebook_version: str
    seed: int
    note: str = Field(examples=["1,204 buyers of this store; 8% of the mix is that of all stores"])
    tokens: list[str] = Field(examples=[["<|persona_17|>", "<|persona_3|>"]])


class Catalogue(BaseModel):
    """What a bundle says of its codes and types; docs/personas.md explains the fields of a card."""

    codebook_version: str
    types: list[dict[str, Any]]
    personas: list[dict[str, Any]]


@router.get("/v1/personas", response_model=Catalogue, responses=documented(401, 403, 429, 503))
async def catalogue(request: Request, key: ReadsCatalogue) -> Response:
    """The catalogue of the codebook that answers: its types, and a card a code."""
    state = state_of(request)
    told = await state.work.run(key.store, _catalogue, state.models.model)
    return Response(told, media_type="application/json")


def _catalogue(model: ServedModel) -> bytes:
    cards = [_card(model, code) for code in range(CODES)]
    told = {"codebook_version": model.version, "types": model.catalogue.types, "personas": cards}
    return msgspec.json.encode(told)


@router.get("/v1/personas/{code}", responses=documented(401, 403, 422, 429, 503))
async def card(
    request: Request, code: Annotated[int, Path(ge=0, lt=CODES, examples=[17])], key: ReadsPersonas
) -> dict[str, Any]:
    """The card of one code: what its training buyers were like."""
    return _card(state_of(request).models.model, code)


def _card(model: ServedModel, code: int) -> dict[str, Any]:
    found = model.catalogue.card(code) or CodeCard(code=code, token=token(code))
    kind = model.catalogue.type_of(code)
    said: dict[str, Any] = msgspec.to_builtins(found)
    return {"type": kind and kind.name, "share": found.share} | said | {"codebook_version": model.version}


@router.get("/v1/stores", responses=documented(401, 403, 429, 503))
async def stores(request: Request, key: ReadsCounts) -> Stores:
    """The stores that this key may ask about: its own, or for an operator those with buyers lately."""
    state = state_of(request)
    span_ms = round(state.settings.distribution_minutes * _MINUTE_MS)
    live = await state.work.run(key.store, state.windows.recent, span_ms, state.models.model.version)
    every = key.store == ALL_STORES
    named = [store for store in live if store != OTHERS] if every else [key.store]
    found = [StoreBuyers(store=name, buyers=buyers_of(live[name]) if name in live else 0) for name in named]
    return Stores(every=every, stores=sorted(found, key=lambda one: (-one.buyers, one.store)))


@router.get("/v1/stores/{store}/distribution", responses=documented(401, 403, 422, 429, 503))
async def distribution(request: Request, store: Store, key: ReadsCounts) -> Distribution:
    """Who a store's buyers are: p_s(k) now, and as it was in training."""
    state = state_of(request)
    model, minutes = state.models.model, state.settings.distribution_minutes
    live = await state.work.run(key.store, state.windows.recent, round(minutes * _MINUTE_MS), model.version)
    counted = live.get(store)
    now = None if counted is None or not buyers_of(counted) else code_shares(counted)
    mix = _reference(model, store)
    reference = None if mix is None else mix.shares
    return Distribution(
        store=store,
        codebook_version=model.version,
        now=None if now is None else now.tolist(),
        now_minutes=minutes,
        now_buyers=0 if counted is None else buyers_of(counted),
        reference=None if reference is None else reference.tolist(),
        reference_buyers=0 if mix is None else mix.buyers,
        types=[
            TypeShare(name=kind.name, now=_of(now, kind.codes), reference=_of(reference, kind.codes))
            for kind in model.catalogue.types
        ],
    )


def _of(shares: NDArray[np.float64] | None, codes: Sequence[int]) -> float | None:
    return None if shares is None else float(shares[list(codes)].sum())


def _reference(model: ServedModel, store: str) -> Mix | None:
    try:
        return model.mix(store)
    except (ProfileError, SamplingError):  # a bundle of an older release, or one that nobody trained on
        return None


def _token_list(codes: NDArray[np.int64]) -> msgspec.Raw:
    """A list of tokens as JSON, made in parts, so that no call holds the interpreter for long."""
    parts = [
        b",".join([_TOKENS[code] for code in codes[start : start + _PART].tolist()])
        for start in range(0, len(codes), _PART)
    ]
    return msgspec.Raw(b"[" + b",".join(parts) + b"]")


@router.post(
    "/v1/stores/{store}/sample",
    response_model=Sample,
    openapi_extra={"requestBody": json_body(SampleAsked)},
    responses=documented(400, 401, 403, 408, 413, 415, 422, 429, 503),
)
async def sample(request: Request, store: Store, key: ReadsPersonas) -> Response:
    """Draw persona tokens from the store's p_s(k) of the training buyers, as `simpersona sample` does."""
    state = state_of(request)
    asked = await take_model(request, key, SampleAsked)
    if (cost := asked.n / SAMPLES_PER_TOKEN - REQUEST) > 0:
        await state.keys.charge(key, cost)
    told = await state.work.run(key.store, _sample, state.models.model, store, asked)
    return Response(told, media_type="application/json")


def _sample(model: ServedModel, store: str, asked: SampleAsked) -> bytes:
    try:
        mix = model.mix(store)
        if asked.filter.types:
            named = [model.catalogue.require_type(name) for name in asked.filter.types]
            mix = only_codes(mix, [code for kind in named for code in kind.codes])
    except (SamplingError, CatalogueError) as error:
        raise ProblemError(422, "nothing-to-draw", str(error)) from None
    told = {
        "store": store,
        "codebook_version": model.version,
        "seed": asked.seed,
        "note": mix.note,
        "tokens": _token_list(draw_codes(mix, asked.n, asked.seed)),
    }
    return msgspec.json.encode(told)
