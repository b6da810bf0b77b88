"""Looking back at one buyer: what was assigned at a moment, and why. Each look is a line of the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import structlog
from fastapi import Query
from pydantic import BaseModel, Field

from feature_store.contract.erasure import Erasure
from feature_store.contract.events import record_key
from feature_store.errors import EventSourceError, OnlineStoreError, TopicError
from feature_store.online.client import store_answers
from inference.api.access.audit import AuditLine, write_audit
from inference.api.access.keys import KeyRecord, Scope
from inference.api.access.permissions import check_scope
from inference.api.bounds.costs import HISTORY, REQUEST
from inference.api.installation import Look
from inference.api.problems import ProblemError, unavailable
from inference.api.requests.notes import decode_requested, requested_key
from inference.api.routes.answers import WHY
from inference.api.state import State, now_ms

log = structlog.get_logger(__name__)

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
        ProblemError: 403 without history:read, 404 for who was erased or had no persona then, 422 for no
            moment or one that cannot be read, 429 no tokens, 503 no audit log, Kafka or store.
    """
    check_scope(key, Scope.HISTORY_READ)
    await state.keys.charge(key, HISTORY - REQUEST)
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
