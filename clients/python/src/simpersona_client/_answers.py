"""Answers of the API as structs. Fields that this release does not know are passed over.

docs/openapi.json explains the fields; a test compares both.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened, over a buyer's whole history; visits counts sessions, the present one included."""

    has_carted: bool
    has_bought: bool
    visits: int


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    """Who a shopper is now; `early` while only the store's prior is known. Times are ms UTC.

    type and facts hold now; forecast is what may be at the end of the session. None: nothing can be stated.
    """

    store: str
    buyer: str
    early: bool
    code: int
    token: str
    type: str | None
    confidence: float | None
    forecast: str | None = None
    forecast_probability: float | None = None
    distance: float | None
    margin: float | None
    codebook_version: str
    events: int
    event_time: int | None
    assigned_at: int | None
    feature_age_ms: int | None
    funnel_stage: Literal["purchased", "checkout", "cart", "browsing"] | None
    facts: Facts | None = None


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """A buyer without a persona; index: which of the buyers asked for."""

    index: int
    reason: Literal["unknown", "erased", "expired"]


class Personas(msgspec.Struct, frozen=True, kw_only=True):
    """Answers in the order asked; None for those in `absent`."""

    personas: tuple[Persona | None, ...]
    absent: tuple[Absent, ...]

    def in_order(self) -> list[Persona | Absent]:
        """One entry per buyer: the persona, or why there is none."""
        why = {gone.index: gone for gone in self.absent}
        return [why[i] if found is None else found for i, found in enumerate(self.personas)]


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An item that its sender has to correct before it is sent again."""

    index: int
    reason: str
    detail: str


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and what the first such value looked like: digits as 9, letters as a."""

    count: int
    form: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of sent items: accepted by Kafka, skipped by reason, refused.

    repaired, emptied, assumed: values of accepted events that were not taken as sent, by field and reason.
    """

    accepted: int
    skipped: dict[str, int]
    errors: tuple[Refusal, ...]
    repaired: dict[str, dict[str, Tally]] = {}
    emptied: dict[str, dict[str, Tally]] = {}
    assumed: dict[str, dict[str, Tally]] = {}


class TypeShare(msgspec.Struct, frozen=True, kw_only=True):
    """A type's share among a store's buyers."""

    name: str
    now: float | None
    reference: float | None


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """p_s(k): 256 shares in the order of codes; None where nobody was counted."""

    store: str
    codebook_version: str
    now: tuple[float, ...] | None
    now_minutes: float
    now_buyers: int
    reference: tuple[float, ...] | None
    reference_buyers: int
    types: tuple[TypeShare, ...]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens drawn from p_s(k). note: how many buyers that rests on, in words."""

    store: str
    codebook_version: str
    seed: int
    note: str
    tokens: tuple[str, ...]


class Remaining(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is left of an erased buyer. until: ms UTC; None: no time can be told, see note."""

    what: str
    until: int | None
    note: str


class ErasureStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far an erasure is. Times are ms UTC. What came before `before_offset` in the buyer's partition is
    void; it is done when workers have folded up to it. consent: what the shopper decided last."""

    state: Literal["requested", "done", "none"]
    request_id: str | None
    requested_at: int | None
    erased_at: int | None
    before_offset: int | None = None
    folded: int | None = None
    consent: Literal["withdrawn", "given"] | None = None
    remains: str
    remaining: tuple[Remaining, ...] = ()
    status_url: str
