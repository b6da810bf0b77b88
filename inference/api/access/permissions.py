"""Who may do what: the bearer key of a request, its store, its scope, its rate."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from inference.api.access.keys import ALL_STORES, KeyRecord, Scope
from inference.api.problems import ProblemError
from inference.api.state import State, state_of

_BEARER: Final = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key of one store: `simpersona keys create`."
)


class Allowed:
    """A dependency: the request's key, if it holds, is of the path's store and has the scope.

    Raises:
        ProblemError: 401 without a key that holds; 403 for another store, whether or not there is
            such a store, and for a missing scope; 429 when the key's bucket is empty.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(
        self,
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> KeyRecord:
        """Check the key and take one request from its bucket."""
        record, wait_s = None, 0.0
        if credentials is not None:
            record, wait_s = await state_of(request).keys.admit(credentials.credentials)
        record = _required(record)
        check_store(record, request.path_params.get("store", record.store))
        if self._scope not in record.scopes:
            raise ProblemError(403, "missing-scope", f"this key has no scope {self._scope}")
        _wait(wait_s)
        return record


def check_store(record: KeyRecord, store: str) -> None:
    """Refuse another store than the key's, whether or not there is such a store.

    Raises:
        ProblemError: 403.
    """
    if record.store not in (ALL_STORES, store):
        raise ProblemError(403, "other-store", "this key is not of that store")


async def checked(state: State, token: str) -> KeyRecord:
    """The record of a key that holds; nothing is taken from its bucket.

    Raises:
        ProblemError: 401.
    """
    return _required(await state.keys.check(token))


def _required(record: KeyRecord | None) -> KeyRecord:
    if record is None:
        raise ProblemError(401, "no-key", "send a key that holds: Authorization: Bearer sp_...")
    return record


async def take(state: State, record: KeyRecord, cost: float) -> None:
    """Take from the key's bucket.

    Raises:
        ProblemError: 429, with the time to wait.
    """
    _wait(await state.keys.take(record, cost))


def _wait(wait_s: float) -> None:
    if wait_s:
        raise ProblemError(
            429, "too-many-requests", "this key has used up its rate; wait", retry_after_s=wait_s
        )


def allowed(scope: Scope) -> Any:
    """The dependency on a scope, for `Annotated`."""
    return Depends(Allowed(scope))


WritesEvents = Annotated[KeyRecord, allowed(Scope.EVENTS_WRITE)]
ReadsPersonas = Annotated[KeyRecord, allowed(Scope.PERSONAS_READ)]
ReadsStream = Annotated[KeyRecord, allowed(Scope.STREAM_READ)]
ErasesBuyers = Annotated[KeyRecord, allowed(Scope.BUYERS_ERASE)]
ReadsOperation = Annotated[KeyRecord, allowed(Scope.OPERATION_READ)]
