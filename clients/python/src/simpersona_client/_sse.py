"""Server-sent events out of the bytes of a stream (WHATWG HTML, 9.2.6)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class SseEvent(msgspec.Struct, frozen=True):
    """One event. id: the last one that the stream named. data: "" where the stream sent an id alone."""

    event: str
    data: str
    id: str


class SseReader:
    """Takes bytes as they come.

    Lines end with LF or CRLF only; httpx ends them at U+2028 and others as well, which JSON may hold.
    """

    def __init__(self, last_id: str = "") -> None:
        self._rest = b""
        self._event, self._data, self._id = "", list[str](), last_id

    def feed(self, chunk: bytes) -> Iterator[SseEvent]:
        """Events that are whole now."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r").decode()
            if line:
                self._field(line)
            else:
                yield SseEvent(self._event or "message", "\n".join(self._data), self._id)
                self._event, self._data = "", []

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
