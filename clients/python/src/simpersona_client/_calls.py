"""Requests of the API, how their answers are read and when they are sent again: what both clients share."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from simpersona_client._answers import (
    Distribution,
    ErasureStatus,
    Persona,
    Personas,
    Receipt,
    Sample,
)
from simpersona_client._catalogue import Catalogue, CodeCard
from simpersona_client._errors import AnswerError, BusyError, error_of, unreachable
from simpersona_client._retries import Retries

T = TypeVar("T")
_GZIP_FROM: Final = 1_024
"""Bodies of so many bytes are sent as gzip."""
_BY_PSEUDONYM: Final = {"pseudonym": "true"}
JSON: Final = "application/json"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and the struct that its answer is."""

    method: str
    path: str
    answer: type[T]
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request as a client of httpx sends it."""
        if self.body is None:
            return http.build_request(self.method, self.path, params=self.params)
        content, headers = msgspec.json.encode(self.body), {"Content-Type": JSON}
        if len(content) >= _GZIP_FROM:
            content, headers = gzip.compress(content, 6), {**headers, "Content-Encoding": "gzip"}
        return http.build_request(
            self.method, self.path, params=self.params, content=content, headers=headers
        )

    def read(self, response: httpx.Response) -> T:
        """The answer.

        Raises:
            ClientError: it is an error's, or not one of this API.
        """
        if not response.is_success:
            raise error_of(response)
        try:
            return msgspec.json.decode(response.content, type=self.answer)
        except msgspec.MsgspecError as error:
            raise AnswerError(
                f"{response.url.host} answers, but not as this release expects: {error}"
            ) from None


class Tries:
    """How often one request was tried in vain."""

    def __init__(self, retries: Retries) -> None:
        self._retries, self._failed = retries, 0

    def pause_s(self, error: httpx.TransportError | BusyError) -> float:
        """Seconds to wait after this failure before the request is sent again.

        Raises:
            ClientError: what the failure was, if it is not sent again.
        """
        failed = unreachable(error) if isinstance(error, httpx.TransportError) else error
        self._failed += 1
        pause_s = self._retries.pause_s(self._failed, failed.retry_after_s)
        if pause_s is None:
            raise failed from None
        return pause_s


def persona(store: str, buyer: str, pseudonym: bool) -> Call[Persona]:
    """Who is this buyer?"""
    return Call("GET", f"{_buyer(store, buyer)}/persona", Persona, _named(pseudonym))


def personas(store: str, buyers: Sequence[str], pseudonyms: bool) -> Call[Personas]:
    """Who are these buyers?"""
    asked = {"buyers": list(buyers), "pseudonyms": pseudonyms}
    return Call("POST", f"/v1/stores/{store}/personas", Personas, body=asked)


def events(items: Iterable[Mapping[str, Any]], source: str, store: str | None) -> Call[Receipt]:
    """Take these payloads."""
    params = {"source": source} if store is None else {"source": source, "store": store}
    return Call("POST", "/v1/events", Receipt, params, list(items))


def sample(store: str, n: int, seed: int, types: Sequence[str]) -> Call[Sample]:
    """Draw tokens."""
    asked = {"n": n, "seed": seed, "filter": {"types": list(types)}}
    return Call("POST", f"/v1/stores/{store}/sample", Sample, body=asked)


def distribution(store: str) -> Call[Distribution]:
    """Who are this store's buyers?"""
    return Call("GET", f"/v1/stores/{store}/distribution", Distribution)


def catalogue() -> Call[Catalogue]:
    """What do the codes mean?"""
    return Call("GET", "/v1/personas", Catalogue)


def card(code: int) -> Call[CodeCard]:
    """What does this code mean?"""
    return Call("GET", f"/v1/personas/{code}", CodeCard)


def erase(store: str, buyer: str, pseudonym: bool) -> Call[ErasureStatus]:
    """Forget this buyer."""
    return Call("DELETE", _buyer(store, buyer), ErasureStatus, _named(pseudonym))


def erasure(store: str, buyer: str, pseudonym: bool) -> Call[ErasureStatus]:
    """How far is that?"""
    return Call("GET", f"{_buyer(store, buyer)}/erasure", ErasureStatus, _named(pseudonym))


def _buyer(store: str, buyer: str) -> str:
    # A dot is encoded, too: a buyer called ".." would otherwise be a step up the path.
    return f"/v1/stores/{store}/buyers/{quote(buyer, safe='').replace('.', '%2E')}"


def _named(pseudonym: bool) -> Mapping[str, str]:
    return _BY_PSEUDONYM if pseudonym else {}
