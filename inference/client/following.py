"""Following a store's assignments: what a stream says, and how it goes on after it broke off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import httpx
import msgspec
import structlog

from feature_store.online.assignment import Assignment, decode_assignment
from inference.client.errors import AnswerError, BusyError, ClientError, UnreachableError, unreachable
from inference.client.retries import Retries
from inference.client.sse import SseReader

log = structlog.get_logger(__name__)

_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 60.0
"""A stream that says nothing for so long, not even that it lives, is dead: four times the API's default."""
TIMEOUT: Final = httpx.Timeout(_CONNECT_S, read=_SILENCE_S)
_BACKOFF: Final = Retries(first_s=1.0, most_s=30.0)


class Assigned(msgspec.Struct, frozen=True):
    """An assignment, and the id to go on from after it."""

    id: str
    assignment: Assignment


class Gap(msgspec.Struct, frozen=True):
    """Assignments before this id are lost to this stream: read the personas that matter anew."""

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
        """Headers of the next connection, which begins with empty hands at the last id."""
        self._reader = SseReader(self._last_id)
        self._at_once = False
        accept = {"Accept": "text/event-stream"}
        return {**accept, "Last-Event-ID": self._last_id} if self._last_id else accept

    def take(self, chunk: bytes) -> Iterator[Assigned | Gap]:
        """What a chunk of the stream says.

        Raises:
            AnswerError: an assignment of another schema than this release's.
        """
        for told in self._reader.feed(chunk):
            self._last_id, self._failed = told.id, 0
            if told.event == "assignment":
                try:
                    yield Assigned(told.id, decode_assignment(told.data))
                except msgspec.MsgspecError as error:
                    raise AnswerError(f"the stream says what this release cannot read: {error}") from None
            elif told.event == "gap":
                yield Gap(told.id)
            elif told.event == "slow":
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
        log.warning("stream_broke_off", cause=str(broken), failed=self._failed, pause_s=round(pause, 1))
        return pause


ENDED: Final = UnreachableError("the server ended the stream")
