"""One request to the URL, and what its answer means."""

from __future__ import annotations

import asyncio
import threading
from typing import Final, Literal
from urllib.request import getproxies, proxy_bypass

import httpx

from streams.errors import SinkError
from streams.sinks.backoff import retry_after_s
from streams.sinks.sink import Answer, Busy, Refused, Taken
from streams.sinks.webhook.addresses import CheckedTransport, Private
from streams.sinks.webhook.letters import Letter

Redirects = Literal["refused", "followed"]

_NOT_THE_ITEMS: Final = frozenset({401, 403, 404, 405, 407, 408, 410, 421, 425, 429})
"""4xx that speak of the address, the credentials or the moment: no item is lost to a wrong secret."""
_SHOWN_BYTES: Final = 300
_READ_BYTES: Final = 1 << 16
"""An answer that ends within this many bytes leaves its connection for the next request."""
_KEPT: Final = frozenset({307, 308})
"""Redirects that keep method and body. After the others a client asks with GET, and delivers nothing."""
_HOPS: Final = 3


class Post:
    """Posts letters to one URL over connections that it keeps.

    Requests run on an event loop of its own, since only there a request can be given up as a whole: a limit
    for each step never ends a receiver that sends a byte at a time.
    """

    def __init__(
        self, url: str, timeout_s: float, private: Private = "named", redirects: Redirects = "refused"
    ) -> None:
        """timeout_s: of a whole request, its answer included."""
        self._url, self._timeout_s, self._redirects = httpx.URL(url), timeout_s, redirects
        transport = None if _by_proxy(self._url) else CheckedTransport(self._url.host, private, timeout_s)
        self._http = httpx.AsyncClient(timeout=None, transport=transport)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simpersona-post", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cancel a request that another thread waits for, and close the connections."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, letter: Letter) -> Answer:
        """Post once.

        Raises:
            SinkError: the address or a redirect is not allowed by the settings.
            concurrent.futures.CancelledError: closed meanwhile.
        """
        return asyncio.run_coroutine_threadsafe(self._send(letter), self._loop).result()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._http.aclose()

    async def _send(self, letter: Letter) -> Answer:
        # Nothing is unpacked: a few bytes of gzip may be gigabytes.
        headers = {**letter.headers, "Accept-Encoding": "identity"}
        request = self._http.build_request("POST", self._url, content=letter.body, headers=headers)
        try:
            async with asyncio.timeout(self._timeout_s):
                for _ in range(1 + _HOPS):
                    answer = await self._ask(request)
                    if not isinstance(answer, httpx.Request):
                        return answer
                    request = answer
            raise SinkError(f"the receiver redirects more than {_HOPS} times: set its own address as the URL")
        except TimeoutError:
            return Busy(f"the answer was not there after {self._timeout_s:g} s")
        except httpx.TransportError as error:
            return Busy(str(error) or type(error).__name__)

    async def _ask(self, request: httpx.Request) -> Answer | httpx.Request:
        """What the receiver says, or the request that it wants in the place of this one."""
        response = await self._http.send(request, stream=True)
        try:
            if response.is_redirect:
                return self._redirected(response)
            return _meaning(response, await _beginning(response))
        finally:
            await response.aclose()

    def _redirected(self, response: httpx.Response) -> httpx.Request:
        told, then = response.status_code, response.next_request
        if then is None:
            raise SinkError(f"the receiver answers {told} and says nowhere to go")
        where = f"the receiver answers {told} and redirects to {then.url.host}"
        if self._redirects == "refused":
            raise SinkError(
                f"{where}: set that address as SIMPERSONA_WEBHOOK_URL if it is right, or "
                "SIMPERSONA_WEBHOOK_REDIRECTS=followed"
            )
        if told not in _KEPT:
            raise SinkError(f"{where} without the body: 307 and 308 alone can be followed")
        if self._url.scheme == "https" and then.url.scheme != "https":
            raise SinkError(f"{where} without TLS: that is not followed")
        return then


def _by_proxy(url: httpx.URL) -> bool:
    """Whether the environment names a proxy for it; that one resolves names then, and may check them."""
    proxies = getproxies()
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not proxy_bypass(url.host)


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
