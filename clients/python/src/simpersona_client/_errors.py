"""Exceptions of the client.

ClientError
+-- UnreachableError      no answer: the address, the network, a timeout
+-- AnswerError           an answer that is not the persona API's
+-- RefusedError          the API refuses: `kind` for programs, `detail` for people
    +-- NotAllowedError   401 or 403: no valid key, a key of another store, or a scope that the key lacks
    +-- NoPersonaError    404 of a buyer: `kind` is unknown-buyer, erased-buyer or expired-buyer
    +-- BusyError         429, 502, 503 or 504: send it again after `retry_after_s`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from simpersona_client._retries import retry_after_s

_KINDS = "urn:simpersona:"
_NO_PERSONA = ("unknown-buyer", "erased-buyer", "expired-buyer")


class ClientError(Exception):
    """Root of the client's errors."""

    retry_after_s: float | None = None


class UnreachableError(ClientError):
    """No answer came, so whether the request was carried out is not known. It may be sent again."""


class AnswerError(ClientError):
    """The answer is not the persona API's, or that of another release."""


class RefusedError(ClientError):
    """A problem document (RFC 9457) of the API.

    kind: its `type` without the prefix; errors: its `errors`, of items or fields, where it has some.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        errors: tuple[Mapping[str, Any], ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{status} {kind}: {detail}")
        self.status, self.kind, self.detail, self.errors = status, kind, detail, errors
        self.retry_after_s = retry_after_s


class NotAllowedError(RefusedError):
    """The key does not allow it."""


class NoPersonaError(RefusedError):
    """This buyer has no persona; `kind` says why."""


class BusyError(RefusedError):
    """Not now."""


class _Problem(msgspec.Struct):
    type: str
    detail: str
    errors: tuple[dict[str, Any], ...] = ()


_problem = msgspec.json.Decoder(_Problem).decode


def error_of(response: httpx.Response) -> ClientError:
    """The error for an answer of another status than 2xx, whose body has been read."""
    status = response.status_code
    try:
        problem = _problem(response.content)
        kind, detail, errors = problem.type.removeprefix(_KINDS), problem.detail, problem.errors
    except msgspec.MsgspecError:  # a proxy's own page, say
        kind, detail, errors = "no-problem-document", response.reason_phrase, ()
    if status in (429, 502, 503, 504):
        return BusyError(status, kind, detail, errors, retry_after_s(response.headers))
    if kind == "no-problem-document":
        return AnswerError(f"{response.url.host} answers {status} {detail}, and not as the persona API does")
    if status in (401, 403):
        return NotAllowedError(status, kind, detail)
    if kind in _NO_PERSONA:
        return NoPersonaError(status, kind, detail)
    return RefusedError(status, kind, detail, errors)


def unreachable(error: httpx.TransportError) -> UnreachableError:
    """The error for no answer."""
    return UnreachableError(f"the persona API does not answer: {error or type(error).__name__}")
