"""The async client."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import httpx

from simpersona_client import _calls as calls
from simpersona_client._answers import (
    Absent,
    Distribution,
    ErasureStatus,
    Persona,
    Receipt,
    Sample,
)
from simpersona_client._calls import Call, Tries
from simpersona_client._catalogue import Catalogue, CodeCard
from simpersona_client._errors import BusyError, ClientError, error_of
from simpersona_client._retries import RETRIES, Retries
from simpersona_client._stream import ENDED, TIMEOUT, Assigned, Following, Gap

T = TypeVar("T")


class AsyncPersonaClient:
    """PersonaClient for asyncio: the same calls. Close it, or use it as a context manager.

    End `follow` before its time with contextlib.aclosing, so that its connection is closed at once.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = 10.0,
        retries: Retries = RETRIES,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout_s,
            verify=verify,
            transport=transport,
        )

    async def __aenter__(self) -> AsyncPersonaClient:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def persona(self, store: str, buyer: str, *, pseudonym: bool = False) -> Persona:
        """See PersonaClient.persona."""
        return await self._ask(calls.persona(store, buyer, pseudonym))

    async def personas(
        self, store: str, buyers: Sequence[str], *, pseudonyms: bool = False
    ) -> list[Persona | Absent]:
        """See PersonaClient.personas."""
        answer = await self._ask(calls.personas(store, buyers, pseudonyms))
        return answer.in_order()

    async def send(
        self, items: Iterable[Mapping[str, Any]], *, source: str = "contract", store: str | None = None
    ) -> Receipt:
        """See PersonaClient.send."""
        return await self._ask(calls.events(items, source, store))

    async def sample(self, store: str, n: int, *, seed: int = 0, types: Sequence[str] = ()) -> Sample:
        """See PersonaClient.sample."""
        return await self._ask(calls.sample(store, n, seed, types))

    async def distribution(self, store: str) -> Distribution:
        """See PersonaClient.distribution."""
        return await self._ask(calls.distribution(store))

    async def catalogue(self) -> Catalogue:
        """See PersonaClient.catalogue."""
        return await self._ask(calls.catalogue())

    async def card(self, code: int) -> CodeCard:
        """See PersonaClient.card."""
        return await self._ask(calls.card(code))

    async def erase(self, store: str, buyer: str, *, pseudonym: bool = False) -> ErasureStatus:
        """See PersonaClient.erase."""
        return await self._ask(calls.erase(store, buyer, pseudonym))

    async def erasure(self, store: str, buyer: str, *, pseudonym: bool = False) -> ErasureStatus:
        """See PersonaClient.erasure."""
        return await self._ask(calls.erasure(store, buyer, pseudonym))

    async def follow(
        self, store: str, *, buyer: str | None = None, pseudonym: bool = False, after: str | None = None
    ) -> AsyncIterator[Assigned | Gap]:
        """See PersonaClient.follow."""
        place = Following(store, buyer, pseudonym, after)
        while True:
            try:
                async with self._http.stream(
                    "GET", place.path, params=place.params, headers=place.connect(), timeout=TIMEOUT
                ) as response:
                    if response.status_code != httpx.codes.OK:
                        await response.aread()
                        raise error_of(response)
                    async for chunk in response.aiter_bytes():
                        for item in place.take(chunk):
                            yield item
                broken: httpx.TransportError | ClientError = ENDED
            except (httpx.TransportError, ClientError) as error:
                broken = error
            await asyncio.sleep(place.pause_s(broken))

    async def _ask(self, call: Call[T]) -> T:
        tries = Tries(self._retries)
        while True:
            try:
                return call.read(await self._http.send(call.request(self._http)))
            except (httpx.TransportError, BusyError) as error:
                pause_s = tries.pause_s(error)
            await asyncio.sleep(pause_s)
