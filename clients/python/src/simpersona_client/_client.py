"""The sync client."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


class PersonaClient:
    """Talks to one API with one key. Close it, or use it as a context manager.

        with PersonaClient("https://personas.example", key) as client:
            print(client.persona("acme", "customer-1").token)

    url: https://host:port. key: made by `simpersona keys create`. timeout_s: of each step of a request
    (connect, write, read). retries: when a request is sent again that found the API away or busy; every
    request may be sent twice. verify: an ssl context, where the API's certificate is not of the system's
    authorities.

    Every method raises ClientError or a kind of it (simpersona_client._errors has the tree).
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = 10.0,
        retries: Retries = RETRIES,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout_s,
            verify=verify,
            transport=transport,
        )

    def __enter__(self) -> PersonaClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def persona(self, store: str, buyer: str, *, pseudonym: bool = False) -> Persona:
        """Who is this buyer? buyer: the shop's own id, or with `pseudonym` the one that assignments have.

        Raises:
            NoPersonaError: there is none; `kind` says whether the buyer is unknown, erased or expired.
        """
        return self._ask(calls.persona(store, buyer, pseudonym))

    def personas(
        self, store: str, buyers: Sequence[str], *, pseudonyms: bool = False
    ) -> list[Persona | Absent]:
        """Who are these buyers? One entry per buyer, in the order asked; at most 1,000 buyers."""
        answer = self._ask(calls.personas(store, buyers, pseudonyms))
        return answer.in_order()

    def send(
        self, items: Iterable[Mapping[str, Any]], *, source: str = "contract", store: str | None = None
    ) -> Receipt:
        """Send events, or payloads of `source` (shopify, segment, ga4).

        store: needed only with an operator's key, which is of no store. Each event needs an event_id of
        yours, which shows that an event was sent twice.

        Raises:
            RefusedError: no item is an event (422), the body or the batch is too large (413).
        """
        return self._ask(calls.events(items, source, store))

    def sample(self, store: str, n: int, *, seed: int = 0, types: Sequence[str] = ()) -> Sample:
        """Draw n persona tokens from the store's p_s(k); of these types only, where some are named."""
        return self._ask(calls.sample(store, n, seed, types))

    def distribution(self, store: str) -> Distribution:
        """Shares of codes and types among the store's buyers, now and in training."""
        return self._ask(calls.distribution(store))

    def catalogue(self) -> Catalogue:
        """The types and the cards of all codes."""
        return self._ask(calls.catalogue())

    def card(self, code: int) -> CodeCard:
        """The card of one code."""
        return self._ask(calls.card(code))

    def erase(self, store: str, buyer: str, *, pseudonym: bool = False) -> ErasureStatus:
        """Ask for a buyer to be forgotten; `erasure` tells when that is done."""
        return self._ask(calls.erase(store, buyer, pseudonym))

    def erasure(self, store: str, buyer: str, *, pseudonym: bool = False) -> ErasureStatus:
        """How far an erasure is."""
        return self._ask(calls.erasure(store, buyer, pseudonym))

    def follow(
        self, store: str, *, buyer: str | None = None, pseudonym: bool = False, after: str | None = None
    ) -> Iterator[Assigned | Gap]:
        """Assignments of a store, or of one buyer, as they are made; does not end by itself.

        When the connection breaks off, or the API restarts or is busy, it connects again, for as long as that
        takes, and goes on where it was. Nothing is missed, and an assignment may come twice; a Gap stands
        where some are lost. Keep the `id` of the last item that you have dealt with: your next process passes
        it as `after`.

        Raises:
            NotAllowedError, RefusedError: the key, the store or `after` is refused.
        """
        place = Following(store, buyer, pseudonym, after)
        while True:
            try:
                with self._http.stream(
                    "GET", place.path, params=place.params, headers=place.connect(), timeout=TIMEOUT
                ) as response:
                    if response.status_code != httpx.codes.OK:
                        response.read()
                        raise error_of(response)
                    for chunk in response.iter_bytes():
                        yield from place.take(chunk)
                broken: httpx.TransportError | ClientError = ENDED
            except (httpx.TransportError, ClientError) as error:
                broken = error
            time.sleep(place.pause_s(broken))

    def _ask(self, call: Call[T]) -> T:
        tries = Tries(self._retries)
        while True:
            try:
                return call.read(self._http.send(call.request(self._http)))
            except (httpx.TransportError, BusyError) as error:
                pause_s = tries.pause_s(error)
            time.sleep(pause_s)
