"""One request to the URL, and what its answer means."""

from __future__ import annotations

from typing import Final

import httpx
import msgspec

from streams.webhook.backoff import retry_after_s
from streams.webhook.letters import Letter

_NOT_THE_ITEMS: Final = frozenset({401, 403, 404, 405, 407, 408, 410, 421, 425, 429})
"""4xx that speak of the address, the credentials or the moment: no item is lost to a wrong secret."""
_SAID_CHARS: Final = 300


class Taken(msgspec.Struct, frozen=True):
    """2xx: the items are theirs."""


class Refused(msgspec.Struct, frozen=True):
    """The items are at fault; the same again would be refused again."""

    why: str


class Busy(msgspec.Struct, frozen=True):
    """Not now, or not known: send the same again, after `wait_s` where they said so."""

    why: str
    wait_s: float | None = None


Answer = Taken | Refused | Busy


class Post:
    """Posts letters to one URL over connections that it keeps."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url, self._http = url, httpx.Client(timeout=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, letter: Letter) -> Answer:
        """Post once."""
        try:
            response = self._http.post(self._url, content=letter.body, headers=dict(letter.headers))
        except (httpx.TransportError, httpx.DecodingError) as error:
            return Busy(str(error) or type(error).__name__)
        status = response.status_code
        if response.is_success:
            return Taken()
        said = f"{status} {response.text[:_SAID_CHARS]}".strip()
        if response.is_client_error and status not in _NOT_THE_ITEMS:
            return Refused(said)
        return Busy(said, retry_after_s(response.headers))
