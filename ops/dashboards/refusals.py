"""A store's refused events for the page: at the door by key, and on Kafka as dead letters with examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from feature_store.contract.erasure import Erasures
from feature_store.errors import TopicError
from feature_store.online.refusals import read_refusals
from inference.api.access.audit import AuditLine, write_audit
from inference.api.access.permissions import ReadsRefused
from inference.api.problems import documented, unavailable
from inference.api.requests.ids import Store
from inference.api.state import now_ms, state_of
from ops.refusals.letters import LetterTally

log = structlog.get_logger(__name__)

_HOUR_MS: Final = 3_600_000
_DAY_H: Final = 24
_WEEK_H: Final = 7 * _DAY_H

ReadLetters = Callable[[Erasures, int, str], LetterTally]
"""(who was erased, since when in ms UTC, store) -> its letters; blocks. Raises TopicError."""


class DoorRefusal(BaseModel):
    """Items of `POST /v1/events` that were refused, of one key, reason and field. Times are hours, ms UTC."""

    key: str = Field(description="Id of the key that sent them.")
    reason: str = Field(examples=["invalid_field"])
    field: str | None = Field(description="The contract field at fault; null where no single one is.")
    count: int
    first: int
    last: int


class RefusedRecords(BaseModel):
    """Dead letters of one reason and field. first, last: ms UTC. detail and example hold no value."""

    reason: str = Field(examples=["invalid_field"])
    field: str | None
    count: int
    first: int
    last: int
    detail: str
    example: str = Field(
        description="The last record as it is built: letters are a or A, digits are 9.",
        examples=['{"type":"aaaaaaaa","price":99.99}'],
    )


class RefusedEvents(BaseModel):
    """What was refused of a store's events since a moment. Erased buyers are in `door` as counts alone."""

    store: str
    since: int = Field(description="ms UTC")
    door: list[DoorRefusal] = Field(description="The most frequent first.")
    records: list[RefusedRecords] = Field(description="The most frequent first.")
    not_looked_at: int = Field(description="Dead letters of any store that are older than the newest read.")


def refusals_router(read_letters: ReadLetters) -> APIRouter:
    """GET /v1/stores/{store}/refused."""
    router = APIRouter(tags=["operation"])

    @router.get("/v1/stores/{store}/refused", responses=documented(401, 403, 422, 429, 503))
    async def refused(
        request: Request,
        store: Store,
        key: ReadsRefused,
        hours: Annotated[int, Query(ge=1, le=_WEEK_H, description="How far back to look.")] = _DAY_H,
    ) -> RefusedEvents:
        """What was refused of a store's events, and why; each call is a line of the audit log."""
        state, now = state_of(request), now_ms()
        since = now - hours * _HOUR_MS
        line = AuditLine(at=now, action="read_refused", store=store, key=key.id)
        try:
            await state.work.run(key.store, write_audit, state.installation.home, line)
        except OSError as error:
            log.error("audit_failed", error=str(error))
            raise unavailable("the audit log cannot be written, so nothing was read") from None
        try:
            tally = await state.work.run(key.store, read_letters, state.erasures, since, store)
        except TopicError as error:
            log.warning("dead_letters_not_read", error=str(error))
            raise unavailable("the dead letters cannot be read from Kafka") from None
        door = await read_refusals(state.redis, state.installation.topic, since, now)
        return RefusedEvents(
            store=store,
            since=since,
            door=[
                DoorRefusal(
                    key=one.key,
                    reason=one.reason,
                    field=one.field or None,
                    count=one.count,
                    first=one.first,
                    last=one.last,
                )
                for one in door
                if one.store == store
            ],
            records=[
                RefusedRecords(
                    reason=one.reason,
                    field=one.field,
                    count=one.count,
                    first=one.first,
                    last=one.last,
                    detail=one.detail,
                    example=one.example,
                )
                for one in tally.groups
            ],
            not_looked_at=tally.older,
        )

    return router
