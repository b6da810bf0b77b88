"""Looking back at one buyer: what was assigned at a moment, and why. Each look is a line of the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import structlog
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from feature_store.contract.erasure import Erasure
from feature_store.contract.events import record_key
from feature_store.errors import EventSourceError, OnlineStoreError, TopicError
from feature_store.online.client import store_answers
from inference.api.access.audit import AuditLine, write_audit
from inference.api.access.keys import KeyRecord
from inference.api.access.permissions import ReadsHistory
from inference.api.installation import Look
from inference.api.problems import ProblemError, documented, unavailable
from inference.api.requests.ids import Buyer, Pseudonym, Store
from inference.api.requests.notes import decode_requested, requested_key
from inference.api.routes.answers import WHY
from inference.api.state import State, now_ms, state_of

log = structlog.get_logger(__name__)

router = APIRouter(tags=["history"])

_MOMENT_CHARS: Final = 40
At = Annotated[
    str | None,
    Query(
        max_length=_MOMENT_CHARS,
        description="A moment: time of assignment as ms since the epoch or ISO 8601 (UTC), or "
        "PARTITION:OFFSET of the clickstream. Needs a key with history:read.",
        examples=["2026-11-28T12:00:00Z"],
    ),
]


class Replay(BaseModel):
    """Whether the buyer's events, folded and encoded again, give the assignment again."""

    agrees: bool | None = Field(description="Null where it cannot be made again; note says why.")
    note: str | None


class FoldedEvent(BaseModel):
    """An event that an assignment was made from. offset: in its partition; -1: from before the topic."""

    offset: int
    event_id: str
    type: str
    timestamp: int
    product_id: str | None


class AssignmentThen(BaseModel):
    """An assignment as its topic holds it (docs/asyncapi.yaml)."""

    store: str
    buyer: str
    code: int = Field(ge=0, le=255)
    token: str
    type: str | None
    confidence: float | None
    forecast: str | None
    forecast_probability: float | None
    distance: float
    margin: float
    codebook_version: str
    events: int
    reason: str
    event_time: int
    assigned_at: int
    partition: int
    offset: int


class PersonaAsOf(BaseModel):
    """What was assigned of a buyer at a moment: by which version, from which events."""

    assignment: AssignmentThen
    since: int = Field(description="The offset of the clickstream from which on it held.")
    replay: Replay
    events: list[FoldedEvent] = Field(
        description="The newest 1,000 that it was made from; assignment.events is their number."
    )


async def look_back(
    state: State,
    key: KeyRecord,
    store: str,
    names: Sequence[str],
    at: str | None,
    look: Look,
    action: str,
) -> dict[str, Any]:
    """Look back at a buyer for who has a key.

    names: as `State.names` gives them. look: of `Installation.history`. action: its word in the audit log.

    Raises:
        ProblemError: 404 for who was erased or had no persona then, 422 for no
            moment or one that cannot be read, 503 no audit log, Kafka or store.
    """
    try:
        line = AuditLine(at=now_ms(), action=action, store=store, key=key.id)
        await state.work.run(key.store, write_audit, state.installation.home, line)
    except OSError as error:
        log.error("audit_failed", error=str(error))
        raise unavailable("the audit log cannot be written, so nothing was read") from None
    erasures = await _erasures(state, [record_key(store, name) for name in names])
    try:
        return await state.asking_kafka.run(key.store, look, store, names, erasures, at)
    except (TopicError, EventSourceError, OnlineStoreError) as error:
        log.warning("history_not_read", error=str(error))
        raise unavailable("the log cannot be read") from None


async def _erasures(state: State, rows: Sequence[bytes]) -> Mapping[bytes, Erasure]:
    """The erasures of these buyers.

    Raises:
        ProblemError: 404, one was asked for a moment ago, and this process does not know yet where it lies.
    """
    with store_answers():
        notes = await state.store.ask(("MGET", *map(requested_key, rows)))
    known = {row: state.erasures.by_key[row] for row in rows if row in state.erasures.by_key}
    for row, note in zip(rows, notes[0], strict=True):
        if note is not None and (row not in known or known[row].requested_at < decode_requested(note).at):
            raise ProblemError(404, "erased-buyer", WHY["erased"])
    return known


class Carried(BaseModel):
    """What would be otherwise without some events."""

    change: float = Field(description="By how much the probability of one type changes at least, 0 to 1.")
    code: int
    type: str | None
    forecast: str | None


class CarriedEvent(Carried):
    """Without one event."""

    event: FoldedEvent


class CarriedBlock(Carried):
    """Without the events from the first to the last offset."""

    first: int
    last: int
    events: int


class CarriedAct(Carried):
    """Without all events of one type."""

    act: str
    events: int


class Nearest(BaseModel):
    """So many more of an act would give this type; folded and encoded to see."""

    act: str
    times: int
    same_product: bool
    type: str | None
    code: int


class WhyAnswer(BaseModel):
    """Why a buyer has a persona: exact, since events are left out and the rest is folded again."""

    as_of: PersonaAsOf
    events: list[CarriedEvent] = Field(description="Single events that carry most, the strongest first.")
    looked_at: int = Field(description="How many were left out one at a time.")
    blocks: list[CarriedBlock] = Field(description="Of a history above 200 events: parts that carry most.")
    acts: list[CarriedAct] = Field(description="Types of events, the strongest first.")
    nearest: Nearest | None = Field(
        description="The fewest acts that would give another type; null: none, up to three times."
    )
    in_words: list[str]


class SubjectReport(BaseModel):
    """All that the log has of one buyer: for who asks what is kept of them."""

    store: str
    buyer: str
    events: list[dict[str, Any]] = Field(description="As docs/event.schema.json, with their offsets.")
    assignments: list[dict[str, Any]]
    why: dict[str, Any] = Field(description="WhyAnswer, or not_explained: why there is none.")


@router.get(
    "/v1/stores/{store}/buyers/{buyer:path}/why",
    response_model=WhyAnswer,
    responses=documented(401, 403, 404, 422, 429, 503),
)
async def why(
    request: Request,
    store: Store,
    buyer: Buyer,
    key: ReadsHistory,
    pseudonym: Pseudonym = False,
    at: At = None,
) -> Response:
    """Why has this buyer this persona? Which events carry it, and what would give another type.

    Of the last assignment, or of that of a moment. 404 and 422 as for `persona?at=`; 422 `not-readable` where
    it cannot be made again.
    """
    state = state_of(request)
    names = state.names(store, buyer, pseudonym)
    found = await look_back(state, key, store, names, at, state.installation.history.why, "read_why")
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get(
    "/v1/stores/{store}/buyers/{buyer:path}/report",
    response_model=SubjectReport,
    responses=documented(401, 403, 404, 422, 429, 503),
)
async def report(
    request: Request, store: Store, buyer: Buyer, key: ReadsHistory, pseudonym: Pseudonym = False
) -> Response:
    """All that the log has of this buyer: events, assignments, and why the last one is what it is."""
    state = state_of(request)
    names = state.names(store, buyer, pseudonym)
    found = await look_back(state, key, store, names, None, state.installation.history.report, "read_report")
    return Response(msgspec.json.encode(found), media_type="application/json")
