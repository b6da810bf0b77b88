"""One request to the URL, and what its answer means."""

from __future__ import annotations

import asyncio
from typing import Final

import httpx

from streams.sinks.backoff import retry_after_s
from streams.sinks.sink import Answer, Busy, Refused, Taken
from streams.sinks.webhook.letters import Letter

_NOT_THE_ITEMS: Final = frozenset({401, 403, 404, 405, 407, 408, 410, 421, 425, 429})
"""4xx that speak of the address, the credentials or the moment: no item is lost to a wrong secret."""
_SHOWN_BYTES: Final = 300
_READ_BYTES: Final = 1 << 16
"""An answer that ends within this many bytes leaves its connection for the next request."""


class Post:
    """Posts letters to one URL over connections that it keeps.

    Requests run on an event loop of its own, since only there a request can be given up as a whole: a limit
    for each step never ends a receiver that sends a byte at a time.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        """timeout_s: of a whole request, its answer included."""
        self._url, self._timeout_s = url, timeout_s
        self._loop = asyncio.Runner()
        self._http = httpx.AsyncClient(timeout=None)

    def close(self) -> None:
        """Close the connections."""
        self._loop.run(self._http.aclose())
        self._loop.close()

    def send(self, letter: Letter) -> Answer:
        """Post once."""
        return self._loop.run(self._send(letter))

    async def _send(self, letter: Letter) -> Answer:
        # Nothing is unpacked: a few bytes of gzip may be gigabytes.
        headers = {**letter.headers, "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._http.stream("POST", self._url, content=letter.body, headers=headers) as response,
            ):
                return _meaning(response, await _beginning(response))
        except TimeoutError:
            return Busy(f"the answer was not there after {self._timeout_s:g} s")
        except httpx.TransportError as error:
            return Busy(str(error) or type(error).__name__)


async def _beginning(response: httpx.Response) -> bytes:
    """The first bytes of the answer; a connection whose answer goes on is closed by its end here."""
    read = bytearray()
    async for chunk in response.aiter_raw():
        read += chunk
        if len(read) > _READ_BYTES:
            break
    return bytes(read[:_SHOWN_BYTES])


def _meaning(response: httpx.Response, beginning: bytes) -> Answer:
    if response.is_success:
        return Taken()
    text = beginning.decode(errors="replace") if "Content-Encoding" not in response.headers else ""
    why = f"{response.status_code} {text}".strip()
    if response.is_client_error and response.status_code not in _NOT_THE_ITEMS:
        return Refused(why)
    return Busy(why, retry_after_s(response.headers))
