"""POST /v1/events: what shops' pixels and servers send, onto the clickstream topic."""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import msgspec
import structlog
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from feature_store.contract.erasure import Consent, ErasureRequest
from feature_store.contract.events import encode_event, record_key
from feature_store.errors import OnlineStoreError
from feature_store.online.client import store_answers
from feature_store.online.refusals import RefusedKind, field_named
from feature_store.sources.formats import CONTRACT
from feature_store.sources.skips import SkipReason
from feature_store.sources.values.notes import count_note
from inference.api.access.keys import ALL_STORES, KeyRecord
from inference.api.access.permissions import WritesEvents, check_store
from inference.api.bounds.costs import Meter
from inference.api.problems import ProblemError, documented
from inference.api.requests.bodies import take_body
from inference.api.requests.ids import StoreName
from inference.api.requests.notes import FRESH_S, fresh_key
from inference.api.requests.payloads import Taken, sources
from inference.api.requests.requested import is_opted_out, note_and_ask
from inference.api.state import State, now_ms, state_of
from inference.counts.windows import OTHERS

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 200
"""Notes in one round trip: between two, others are answered."""

router = APIRouter(tags=["events"])


class Refusal(BaseModel):
    """An item that its sender has to mend before sending it again."""

    index: int = Field(description="Which item of the body, counted from 0 over all payloads.")
    reason: str = Field(examples=["invalid_field"])
    detail: str = Field(examples=["Object missing required field `event_id`"])


class Tally(BaseModel):
    """How often, and what the first such value looked like: digits as 9, letters as a."""

    count: int
    form: str


Tallies: TypeAlias = dict[str, dict[str, Tally]]


class Receipt(BaseModel):
    """What became of the items. accepted: stored by Kafka. skipped: ordinary traffic that is no event of
    ours (bots, other event types, items without a buyer id, or of shoppers who opted out), by reason."""

    accepted: int = Field(examples=[2])
    skipped: dict[str, int] = Field(examples=[{"bot": 1}])
    errors: list[Refusal]
    repaired: Tallies = Field(
        {},
        description="Values that were taken otherwise than sent, by field and reason; absent without any.",
        examples=[{"price": {"currency_sign": {"count": 1, "form": "$ 99.99"}}}],
    )
    emptied: Tallies = Field(
        {}, description="Values that could not be read: their events were taken without them."
    )
    assumed: Tallies = Field({}, description="What was decided for the sender: a time of receipt, a total.")


_EVENT: Final = {
    "event_id": "01J9ZK3V5Q",
    "buyer": "4711",
    "type": "product_view",
    "timestamp": 1795700000123,
    "product_id": "p-17",
    "category": "home/kitchen",
    "price": 19.99,
    "currency": "USD",
}
_EXAMPLES: Final = {
    "one": {"summary": "One event of the contract", "value": _EVENT},
    "batch": {"summary": "A batch", "value": [_EVENT, {**_EVENT, "event_id": "01J9ZK3V5R"}]},
    "segment": {
        "summary": "Segment (source=segment)",
        "value": {
            "batch": [
                {
                    "type": "track",
                    "event": "Product Added",
                    "anonymousId": "4711",
                    "messageId": "m-1",
                    "timestamp": "2026-11-26T10:00:00.000Z",
                    "properties": {"product_id": "p-17", "price": 19.99, "currency": "USD", "quantity": 1},
                }
            ]
        },
    },
}
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]},
            "examples": _EXAMPLES,
        }
    },
}


@router.post(
    "/v1/events",
    status_code=202,
    response_model=Receipt,
    openapi_extra={"requestBody": _BODY},
    responses=documented(400, 401, 403, 408, 413, 415, 422, 429, 503),
)
async def collect(
    request: Request,
    key: WritesEvents,
    source: Annotated[
        str,
        Query(
            description="The format of the body's payloads.",
            pattern=f"^({'|'.join(map(re.escape, sources()))})$",
            json_schema_extra={"enum": list(sources())},
        ),
    ] = CONTRACT,
    store: Annotated[
        StoreName | None,
        Query(
            description="Whose events; an operator's key needs it, unless each event of the contract says it."
        ),
    ] = None,
) -> Response:
    """Send events: one payload or a list of them, as JSON, gzip or not.

    202 means that Kafka has every accepted event. An item that is refused stops no other. After 429 or 503
    send the whole request again: an event that was stored already is known by its event_id. Buyer ids are
    the shop's own; they are hashed before anything is stored. The store is that of the key.

    An item that states that its shopper refuses is skipped (`opted_out`), and a server's key withdraws their
    consent with it; one that states that they agree ends that. `Sec-GPC: 1` refuses for every item.
    """
    state, opts_out = state_of(request), request.headers.get("Sec-GPC") == "1"
    if store is not None:
        check_store(key, store)
    elif key.store != ALL_STORES:
        store = key.store
    collected = await take_body(
        request, key, lambda body, meter: _collected(state, body, source, store, meter, opts_out)
    )
    for outcome, count in collected.taken.outcomes().items():
        state.metrics.items.labels(source, outcome).inc(count)
    for note in collected.taken.notes:
        state.metrics.fields.labels(source, note.kind, note.field, note.reason).inc()
    _tally(state, store, key, collected.taken)
    if not collected.useful:
        raise ProblemError(
            422, "no-valid-item", "no item of the body is an event; see errors", errors=collected.errors
        )
    await _state_consents(state, key, collected.taken.decisions)
    await _store(state, collected.records)
    return Response(collected.receipt, 202, media_type="application/json")


@router.options("/v1/events", status_code=204, include_in_schema=False)
async def preflight(_key: WritesEvents) -> Response:
    """A browser asks whether a page may send: the key has origins, and the page's is one of them."""
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Content-Type, Content-Encoding",
            "Access-Control-Max-Age": "600",
        },
    )


class _Collected(NamedTuple):
    """What is in a body, as records for Kafka, and the answer to its sender."""

    taken: Taken
    errors: list[dict[str, Any]]
    records: list[tuple[bytes, bytes]]
    receipt: bytes

    @property
    def useful(self) -> bool:
        """Whether not all of it was refused."""
        return bool(self.taken.events or self.taken.skipped or not self.errors)


def _collected(
    state: State, body: bytes, source: str, store: str | None, meter: Meter, opts_out: bool
) -> _Collected:
    """opts_out: Global Privacy Control is on, which refuses for all of them. Runs in a thread."""
    taken = state.collector.take(body, source, store, meter)
    if opts_out:
        taken.decisions |= {record_key(event.store, event.buyer): False for event in taken.events}
        taken.decisions = dict.fromkeys(taken.decisions, False)
    taken.leave_out(lambda row: not taken.decisions.get(row, not is_opted_out(state, row)))
    errors = [{"index": i, "reason": reason, "detail": detail} for i, reason, detail in taken.refused]
    records = [(record_key(event.store, event.buyer), encode_event(event)) for event in taken.events]
    receipt: dict[str, Any] = {"accepted": len(taken.events), "skipped": taken.skipped, "errors": errors}
    for note in taken.notes:
        count_note(receipt.setdefault(note.kind, {}), note)
    return _Collected(taken, errors, records, msgspec.json.encode(receipt))


def _tally(state: State, store: str | None, key: KeyRecord, taken: Taken) -> None:
    """Count what was understood and what was not, for the signal `unknown` of drift, and who sent it."""
    for whose, count in Counter(event.store for event in taken.events).items():
        state.intake.add(whose, count, 0)
    if unknown := taken.skipped[SkipReason.UNMAPPED_EVENT] + len(taken.refused):
        state.intake.add(store or OTHERS, 0, unknown)
    for _, reason, detail in taken.refused:
        state.intake.refuse(RefusedKind(store or OTHERS, key.id, reason, field_named(detail)))


async def _state_consents(state: State, key: KeyRecord, decisions: Mapping[bytes, bool]) -> None:
    """Put into the log what changes: a refusal is a withdrawal, and an agreement ends one.

    Who opens a page has a published key, and may name any buyer: it can leave out events, and no more.
    """
    if key.origins:
        return
    for given in (False, True):
        rows = [row for row, it in decisions.items() if it is given and is_opted_out(state, row) is given]
        if not rows:
            continue
        stated: Consent = "given" if given else "withdrawn"
        asked = ErasureRequest(requested_at=now_ms(), request=secrets.token_hex(6), consent=stated)
        await note_and_ask(state, rows, asked)
        log.info("consents_stated", buyers=len(rows), key=key.id, consent=stated, request=asked.request)


async def _store(state: State, records: Sequence[tuple[bytes, bytes]]) -> None:
    await _expect(state, list({key for key, _ in records}))
    started = time.perf_counter()
    state.metrics.waiting.set(state.producer.waiting + len(records))
    try:
        await state.producer.send(state.installation.topic, records)
    finally:
        state.metrics.waiting.set(state.producer.waiting)
    state.metrics.ack_seconds.observe(time.perf_counter() - started)


async def _expect(state: State, keys: Sequence[bytes]) -> None:
    """Note who was heard of a moment ago, so that they are answered early and not as unknown."""
    try:
        with store_answers():
            for start in range(0, len(keys), _AT_ONCE):
                pipe = state.redis.pipeline(transaction=False)
                for key in keys[start : start + _AT_ONCE]:
                    pipe.set(fresh_key(key), b"", ex=FRESH_S)
                await pipe.execute()
    except OnlineStoreError as error:  # events do not depend on it
        log.warning("not_noted", error=str(error))
