"""The stream of a store's assignments: what it holds, and how it goes on after it broke off."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final, Literal

import httpx
import msgspec

from simpersona_client._errors import AnswerError, BusyError, ClientError, UnreachableError, unreachable
from simpersona_client._retries import Retries
from simpersona_client._sse import SseReader

log = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 60.0
"""A stream without a byte for so long is dead: four times the API's default heartbeat."""
TIMEOUT: Final = httpx.Timeout(_CONNECT_S, read=_SILENCE_S)
_BACKOFF: Final = Retries(first_s=1.0, most_s=30.0)


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A persona at an offset of the clickstream: a message of the topic persona-assignments (schema 1).

    type is what holds now, forecast what may hold at the end of the session; None: nothing can be stated.
    distance and margin are those of the encoder. events counts the buyer's events so far. event_time is that
    of the buyer's last event, assigned_at that of the wall clock, both ms UTC. partition and offset name the
    clickstream record after which this holds.
    """

    schema_version: Literal[1] = 1
    store: str
    buyer: str
    code: int
    token: str
    type: str | None
    confidence: float | None
    forecast: str | None = None
    forecast_probability: float | None = None
    distance: float
    margin: float
    codebook_version: str
    events: int
    reason: Literal["code", "type", "forecast", "confidence", "session_end", "swap"]
    event_time: int
    assigned_at: int
    partition: int
    offset: int


_assignment = msgspec.json.Decoder(Assignment).decode


class Assigned(msgspec.Struct, frozen=True):
    """An assignment, and the id to go on from after it."""

    id: str
    assignment: Assignment


class Gap(msgspec.Struct, frozen=True):
    """Assignments before this id are lost to this stream: read the personas that matter again."""

    id: str


class Following:
    """One reader's place in a store's stream, over any number of connections."""

    def __init__(self, store: str, buyer: str | None, pseudonym: bool, after: str | None) -> None:
        self.path = f"/v1/stores/{store}/stream"
        self.params = {} if buyer is None else {"buyer": buyer, "pseudonym": str(pseudonym).lower()}
        self._last_id = after or ""
        self._reader = SseReader(self._last_id)
        self._failed = 0
        self._at_once = False

    def connect(self) -> dict[str, str]:
        """Headers of the next connection, which starts after the last id that was read."""
        self._reader = SseReader(self._last_id)
        self._at_once = False
        accept = {"Accept": "text/event-stream"}
        return {**accept, "Last-Event-ID": self._last_id} if self._last_id else accept

    def take(self, chunk: bytes) -> Iterator[Assigned | Gap]:
        """What a chunk of the stream holds.

        Raises:
            AnswerError: an assignment of another schema than this release's.
        """
        for event in self._reader.feed(chunk):
            self._last_id, self._failed = event.id, 0
            if event.event == "assignment":
                try:
                    yield Assigned(event.id, _assignment(event.data))
                except msgspec.MsgspecError as error:
                    raise AnswerError(f"the stream has what this release cannot read: {error}") from None
            elif event.event == "gap":
                yield Gap(event.id)
            elif event.event == "slow":
                self._at_once = True

    def pause_s(self, broken: httpx.TransportError | ClientError) -> float:
        """How long to wait before the next connection.

        Raises:
            ClientError: `broken`, if another connection would be refused as well.
        """
        if isinstance(broken, httpx.TransportError):
            broken = unreachable(broken)
        if not isinstance(broken, UnreachableError | BusyError):
            raise broken
        if self._at_once:
            return 0.0
        self._failed += 1
        pause = _BACKOFF.backoff_s(self._failed, broken.retry_after_s)
        log.warning("the stream broke off (%s); next connection in %.1f s", broken, pause)
        return pause


ENDED: Final = UnreachableError("the server ended the stream")
