"""Requests to erase buyers, and their decisions on consent, on the way to the log (docs/adr/0033, 0061)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from feature_store.contract.erasure import ErasureRequest, encode_erasure
from feature_store.online.client import store_answers
from inference.api.access.audit import AuditLine, write_audit
from inference.api.access.keys import KeyRecord
from inference.api.problems import ProblemError, unavailable
from inference.api.requests.notes import REQUESTED_S, Requested, encode_requested, fresh_key, requested_key
from inference.api.state import State

log = structlog.get_logger(__name__)

_RETRY_S: Final = 5.0
_AT_ONCE: Final = 50
"""Requests that wait for Kafka together."""


def is_opted_out(state: State, row: bytes) -> bool:
    """Whether a buyer has withdrawn consent, as far as this process knows. row: their Kafka key."""
    known = state.erasures.by_key.get(row)
    return known is not None and known.is_opted_out


def check_room(state: State, store: str, rows: Sequence[bytes]) -> None:
    """Refuse a store's flood.

    Raises:
        ProblemError: 429, too many erasures of the store wait for a worker.
    """
    most = state.settings.erasures_pending
    if not all(state.pending.has_room(store, row, most) for row in rows):
        raise ProblemError(
            429,
            "too-many-erasures",
            "more erasures of this store wait for a worker than may; send it again later",
            retry_after_s=_RETRY_S,
        )


async def audit(state: State, asked: ErasureRequest, store: str, key: KeyRecord) -> None:
    """Write down who asked.

    Raises:
        ProblemError: 503, the audit log cannot be written.
    """
    action = "erase" if asked.consent is None else f"consent_{asked.consent}"
    line = AuditLine(
        at=asked.requested_at, action=action, store=store, key=key.id, request=asked.request or ""
    )
    try:
        await state.work.run(key.store, write_audit, state.installation.home, line)
    except OSError as error:
        log.error("audit_failed", error=str(error))
        raise unavailable("the audit log cannot be written, so nothing was done") from None


async def note_and_ask(state: State, rows: Sequence[bytes], asked: ErasureRequest) -> None:
    """Tell the other processes of requests, then put them into the log, one for each Kafka key.

    Raises:
        OnlineStoreError, ProblemError: a server is away; some of them may be in the log: send all again.
    """
    note = encode_requested(Requested(str(asked.request), asked.requested_at))
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        with store_answers():
            pipe = state.redis.pipeline(transaction=False)
            for row in some:
                pipe.set(requested_key(row), note, ex=REQUESTED_S)
                pipe.delete(fresh_key(row))
            await pipe.execute()
        await asyncio.gather(*(_ask(state, row, asked) for row in some))


async def _ask(state: State, row: bytes, asked: ErasureRequest) -> None:
    """Put a request into the log, and its place on the topic of erasures, for all who are not there yet."""
    topics = state.installation
    place = await state.producer.send(topics.topic, [(row, None)], asked.headers())
    if place is not None:  # else the worker that comes to the request writes it down
        erasure = asked.at(*place).following(state.erasures.by_key.get(row))
        await state.producer.send(topics.erasures_topic, [(row, encode_erasure(erasure))])
        state.erasures.add(row, erasure)
        state.pending.look([row], state.erasures)
