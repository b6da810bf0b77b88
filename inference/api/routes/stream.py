"""GET /v1/stores/{store}/stream: assignments as server-sent events.

A reader that was away sends the last id it saw (Last-Event-ID) and gets what it missed first. A reader that
is too slow is told the last id it got, and the connection is closed: memory stays bounded, and it goes
on from there when it can. Heartbeats carry an id, so that a quiet store is resumed without a long read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec
import structlog
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from feature_store.contract.events import record_key
from feature_store.errors import OnlineStoreError
from inference.api.access.keys import Scope as KeyScope
from inference.api.access.permissions import ReadsStream, checked, release
from inference.api.live.hub import Sent, Subscriber
from inference.api.live.positions import decode_positions, encode_positions
from inference.api.problems import ProblemError, documented, unavailable
from inference.api.requests.ids import Pseudonym, RawId, Store
from inference.api.state import State, state_of

log = structlog.get_logger(__name__)

_RECONNECT_MS: Final = 2_000
_NEARLY_THERE: Final = 500
_WRITE_S: Final = 20.0
"""A reader who takes nothing for so long is gone or stuck."""
_MANY: Final = 200
_MOST_RECENT: Final = 20_000

router = APIRouter(tags=["stream"])

T = TypeVar("T")

_EXAMPLE: Final = (
    "retry: 2000\nid: 1a-0-ff\n\n"
    "id: 1b-0-ff\nevent: assignment\n"
    'data: {"schema_version":1,"store":"acme","buyer":"9f2c...","code":17,"token":"<|persona_17|>",...}\n\n'
)


@router.get(
    "/v1/stores/{store}/stream",
    response_class=Response,
    responses={
        200: {
            "description": "A stream that does not end",
            "content": {"text/event-stream": {"example": _EXAMPLE}},
        },
        **documented(400, 401, 403, 422, 429, 503),
    },
)
async def stream(
    request: Request,
    store: Store,
    key: ReadsStream,
    buyer: Annotated[RawId | None, Query(description="Follow this buyer alone (the shop's own id).")] = None,
    pseudonym: Pseudonym = False,
    recent: Annotated[
        int,
        Query(
            ge=0,
            le=_MOST_RECENT,
            description="Without Last-Event-ID: begin so many assignments ago, all stores' counted.",
        ),
    ] = 0,
    last_event_id: Annotated[
        str | None, Header(description="Go on after this event.", max_length=4096)
    ] = None,
) -> Response:
    """Follow a store's assignments as server-sent events.

    Events are `assignment` (an assignment as on the topic), `gap` (what was missed cannot be given back: read
    personas anew), `slow` (the reader is too slow; go on from the id) and `closing` (the server ends; connect
    again). Order holds within a buyer. After a reconnect an assignment may come twice.
    """
    state = state_of(request)
    if not state.hub.positions or state.hub.closed:
        raise unavailable("the stream cannot be opened now")
    _require_room(state, store)
    here = state.hub.positions
    start: Sequence[int] | None = here
    if last_event_id is not None:
        start = decode_positions(last_event_id, len(here))
    elif recent:
        start = await state.replays.back(key.store, here, recent)
    if start is None:
        raise ProblemError(400, "bad-last-event-id", "Last-Event-ID is not one of this stream's")
    _require_room(state, store)  # others may have come meanwhile
    followed = None
    if buyer is not None:
        followed = {record_key(store, name) for name in state.names(store, buyer, pseudonym)}
    subscriber = Subscriber(store, followed, state.settings.stream_buffer)
    token = request.headers["authorization"].partition(" ")[2]
    return AssignmentStream(state, subscriber, list(start), key.store, token)


def _require_room(state: State, store: str) -> None:
    if state.streams.full(store):
        raise ProblemError(429, "too-many-streams", "this store has enough open streams", retry_after_s=30)


class AssignmentStream(Response):
    """Writes one stream until its reader, its key or this process ends."""

    def __init__(
        self, state: State, subscriber: Subscriber, start: list[int], tenant: str, token: str
    ) -> None:
        """tenant: the store of the key, whose turn it is to read what was missed."""
        super().__init__(
            media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        del self.headers["content-length"]
        self._state, self._subscriber, self._at, self._token = state, subscriber, start, token
        self._tenant = tenant
        self._last_id = encode_positions(start)
        self._gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI response."""
        state, subscriber = self._state, self._subscriber
        release(scope)  # from now on it counts as a stream
        listening = asyncio.create_task(self._listen(receive))
        state.streams.opened(subscriber.store)
        ended = "client"
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._write(send, f"retry: {_RECONNECT_MS}\nid: {self._last_id}\n\n")
            ended = await self._catch_up(send) or await self._follow(send)
        except TimeoutError:  # nothing can be written any more, not even the reason
            ended = "slow"
        except OSError:
            ended = "client"
        except ProblemError as error:  # Kafka is away: the reader connects again, from its last id
            ended = "shutdown"
            await self._say(send, "closing", str(error.detail))
        except OnlineStoreError:  # so nobody can tell whether the key still holds
            ended = "shutdown"
            await self._say(send, "closing", "the online store does not answer")
        finally:
            listening.cancel()
            state.hub.remove(subscriber)
            state.streams.closed(subscriber.store, ended)
        if not self._gone:
            await send({"type": "http.response.body", "body": b""})

    async def _catch_up(self, send: Send) -> str | None:
        """Write what the reader missed; after it the subscriber is in the hub, and nothing lies between.

        Returns why the stream ends, or None: it goes on.
        """
        state, hub = self._state, self._state.hub
        lost = await self._alive(send, state.replays.gap(self._tenant, self._at, hub.positions))
        if lost or _behind(self._at, hub.positions) > state.settings.resume_records:
            self._at = list(hub.positions)
            self._last_id = encode_positions(self._at)
            await self._write(
                send, _event("gap", {"missed": "some assignments cannot be given back"}, self._last_id)
            )
        until, joined = time.monotonic() + state.settings.resume_s, False
        while not joined:
            if joined := _behind(self._at, hub.positions) <= _NEARLY_THERE:
                hub.add(self._subscriber)
            end = list(hub.positions)
            while _behind(self._at, end) and not self._gone:
                if time.monotonic() > until:
                    await self._say(send, "slow", "the reader is too slow; go on from the id")
                    return "slow"
                if hub.closed:
                    await self._say(send, "closing", "the server ends; connect again")
                    return "shutdown"
                await self._write_part(send, end)
            if self._gone:
                return "client"
        return None

    async def _write_part(self, send: Send, end: Sequence[int]) -> None:
        hub, subscriber = self._state.hub, self._subscriber
        reading = self._state.replays.part(
            self._tenant, self._at, end, lambda message: subscriber.wants(message.key())
        )
        messages, at = await self._alive(send, reading)
        for start in range(0, len(messages), _MANY):
            found: list[Sent] = []
            for message in messages[start : start + _MANY]:
                self._at[message.partition()] = message.offset() + 1
                if not hub.void(message.key(), message.value()):
                    found.append(Sent(encode_positions(self._at), message.value()))
            await self._write(send, self._assignments(found))
        self._at = at

    async def _alive(self, send: Send, reading: Coroutine[Any, Any, T]) -> T:
        """Wait for what is read, and let the reader know meanwhile that the stream lives."""
        task = asyncio.ensure_future(reading)
        try:
            while not (await asyncio.wait({task}, timeout=self._state.settings.heartbeat_s))[0]:
                await self._write(send, ": alive\n\n")
            return task.result()
        finally:
            task.cancel()

    async def _follow(self, send: Send) -> str:
        subscriber, queue = self._subscriber, self._subscriber.queue
        heartbeat_s = self._state.settings.heartbeat_s
        asked = time.monotonic()
        alive_until = asked + heartbeat_s
        while not self._gone:
            if time.monotonic() >= asked + heartbeat_s:  # also of a stream that never rests
                asked = time.monotonic()
                if not await self._still_allowed():
                    await self._say(send, "closing", "the key was revoked")
                    return "revoked"
            if queue:
                count = min(len(queue), _MANY)
                await self._write(send, self._assignments([queue.popleft() for _ in range(count)]))
            elif subscriber.overflowed:
                await self._say(send, "slow", "the reader is too slow; go on from the id")
                return "slow"
            elif self._state.hub.closed:
                await self._say(send, "closing", "the server ends; connect again")
                return "shutdown"
            elif time.monotonic() >= alive_until:
                self._last_id = encode_positions(self._state.hub.positions)
                await self._write(send, f": alive\nid: {self._last_id}\n\n")
                alive_until = time.monotonic() + heartbeat_s
            else:
                subscriber.wake.clear()
                left = max(alive_until - time.monotonic(), 0)
                try:
                    await asyncio.wait_for(subscriber.wake.wait(), left)
                except TimeoutError:
                    continue
        return "client"

    def _assignments(self, found: Sequence[Sent]) -> str:
        if not found:
            return ""
        self._last_id = found[-1].id
        self._state.metrics.streamed.inc(len(found))
        return "".join(f"id: {sent.id}\nevent: assignment\ndata: {sent.body.decode()}\n\n" for sent in found)

    async def _still_allowed(self) -> bool:
        try:
            record = await checked(self._state, self._token)
        except ProblemError:
            return False
        return KeyScope.STREAM_READ in record.scopes

    async def _say(self, send: Send, event: str, detail: str) -> None:
        await self._write(
            send, _event(event, {"detail": detail, "last_event_id": self._last_id}, self._last_id)
        )

    async def _write(self, send: Send, text: str) -> None:
        if text and not self._gone:
            body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
            await asyncio.wait_for(send(body), _WRITE_S)

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._subscriber.wake.set()


def _event(event: str, data: dict[str, Any], event_id: str) -> str:
    return f"id: {event_id}\nevent: {event}\ndata: {msgspec.json.encode(data).decode()}\n\n"


def _behind(at: Sequence[int], end: Sequence[int]) -> int:
    return sum(max(0, last - first) for first, last in zip(at, end, strict=True))
