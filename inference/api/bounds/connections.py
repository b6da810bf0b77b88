"""Connections within bounds: whoever opens one and says nothing, or half of it, or takes nothing, is closed
in time.

uvicorn ends a connection that rests between two requests. What it lets wait for ever is bounded here: the
head of a request, its size, an answer that nobody reads, and how many connections there are.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEAD_BYTES: Final = 65_536
_LEAST_TAKEN_BYTES: Final = 65_536
"""Of an answer in `write_s`: a reader that is slower holds its memory for too long."""
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


@dataclass
class ConnectionBounds:
    """What the connections of a process share. Times are seconds."""

    most: int
    header_s: float
    write_s: float
    open: int = 0
    waiting: dict[BoundedConnection, None] = field(default_factory=dict)
    """Those without a whole request head, the one that waits longest first."""


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol within bounds."""

    def __init__(self, bounds: ConnectionBounds, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._bounds = bounds
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for it, and wait for its first request."""
        super().connection_made(transport)
        bounds = self._bounds
        bounds.open += 1
        if bounds.open > bounds.most:
            longest = next(iter(bounds.waiting), self)
            bounds.waiting.pop(longest, None)
            longest.transport.abort()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._bounds.open -= 1
        self._bounds.waiting.pop(self, None)
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, of a head so many at most."""
        super().data_received(data)
        if self in self._bounds.waiting:  # all of it was head
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                self._abort_later()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._bounds.waiting.pop(self, None)
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if not self.flow.write_paused:  # who asks again has read the answer before
            self._reads_on()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The answer is handed over; its reader may not have it yet."""
        super().on_response_complete()
        if not self.pipeline:
            self._bounds.waiting[self] = None
        if self.transport.get_write_buffer_size():
            self._abort_later()

    def pause_writing(self) -> None:
        """The reader is behind."""
        super().pause_writing()
        self._abort_later()

    def resume_writing(self) -> None:
        """The reader caught up."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._reads_on()

    def timeout_keep_alive_handler(self) -> None:
        """It rested for too long."""
        super().timeout_keep_alive_handler()
        self._abort_later()

    def _await_head(self) -> None:
        self._bounds.waiting.setdefault(self)
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._bounds.header_s, self.transport.abort)

    def _reads_on(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _abort_later(self) -> None:
        """End the connection if its reader takes next to nothing until then."""
        if self._write_timer is None:
            left = self.transport.get_write_buffer_size()
            self._write_timer = self.loop.call_later(self._bounds.write_s, self._abort_unread, left)

    def _abort_unread(self, before: int) -> None:
        self._write_timer = None
        left = self.transport.get_write_buffer_size()
        if left and before - left >= _LEAST_TAKEN_BYTES:
            self._abort_later()
        elif left or self.transport.is_closing():
            self.transport.abort()
