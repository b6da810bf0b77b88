"""Who may do what: the bearer key of a request, its store, its scope, its rate."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import Scope as AsgiScope

from inference.api.access.keys import ALL_STORES, KeyRecord, Scope
from inference.api.bounds.costs import REFUSED, REQUEST
from inference.api.bounds.in_flight import Share
from inference.api.problems import ProblemError
from inference.api.state import State

_BEARER: Final = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key of one store: `simpersona keys create`."
)
_ADMITTED: Final = "simpersona.admitted"


class Admission(NamedTuple):
    """A request whose key was checked: the key, and what the request holds of its store's share."""

    key: KeyRecord
    share: Share

    def hold(self, count: int) -> None:
        """So many bytes of its body more.

        Raises:
            ProblemError: 429, the store's bodies hold enough memory.
        """
        self.share.hold(count)


class Allowed:
    """A dependency: the request's key, if it holds, is of the path's store and has the scope.

    The check itself is `admit`, which the gate calls before it lets the first byte of a body through.
    """

    def __init__(self, scope: Scope, cost: float) -> None:
        self.scope, self.cost = scope, cost

    async def __call__(
        self,
        request: Request,
        # For the OpenAPI document; the header is read by `admit`.
        _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> KeyRecord:
        """The key of the request; see `admit`."""
        return (await admit(request.scope)).key


async def admit(scope: AsgiScope) -> Admission:
    """Check the key of a request, once, and take what the route costs from its bucket.

    scope: of a request that was routed to a route with a guard.

    Raises:
        ProblemError: 401 without a key that holds; 403 for another store, whether or not there is
            such a store, and for a missing scope; 429 when the key's bucket is empty, or its store has enough
            requests under way.
    """
    known: Admission | None = scope.get(_ADMITTED)
    if known is not None:
        return known
    guard, state = guard_of(scope["route"]), _state(scope)
    assert guard is not None
    record, wait_s = await state.keys.admit(_token(scope), guard.cost)
    record = _required(record)
    check_store(record, scope["path_params"].get("store", record.store))
    if guard.scope not in record.scopes:
        raise ProblemError(403, "missing-scope", f"this key has no scope {guard.scope}")
    if wait_s:
        raise ProblemError(
            429, "too-many-requests", "this key has used up its rate; wait", retry_after_s=wait_s
        )
    admission = scope[_ADMITTED] = Admission(record, state.in_flight.enter(record.store))
    return admission


def _token(scope: AsgiScope) -> str:
    kind, _, token = (Headers(scope=scope).get("authorization") or "").partition(" ")
    return token if kind.lower() == "bearer" else ""


def has_key(scope: AsgiScope) -> bool:
    """Whether a request brings something that may be a key."""
    return bool(_token(scope))


def no_key() -> ProblemError:
    """No key, or none that holds."""
    return ProblemError(401, "no-key", "send a key that holds: Authorization: Bearer sp_...")


def release(scope: AsgiScope) -> None:
    """The request ended, or becomes a stream, which is counted as one of those."""
    admission: Admission | None = scope.get(_ADMITTED)
    if admission is not None:
        admission.share.leave()


def guard_of(route: Any) -> Allowed | None:
    """What a route of FastAPI asks of a key; None: it asks for none."""
    dependant = getattr(route, "dependant", None)
    calls = [] if dependant is None else [found.call for found in dependant.dependencies]
    return next((call for call in calls if isinstance(call, Allowed)), None)


def _state(scope: AsgiScope) -> State:
    state: State = scope["app"].state.api
    return state


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
        raise no_key()
    return record


def allowed(scope: Scope, cost: float = REQUEST) -> Any:
    """The dependency on a scope, for `Annotated`. cost: tokens of a request, before what its body adds."""
    return Depends(Allowed(scope, cost))


WritesEvents = Annotated[KeyRecord, allowed(Scope.EVENTS_WRITE)]
ReadsPersonas = Annotated[KeyRecord, allowed(Scope.PERSONAS_READ)]
ReadsStream = Annotated[KeyRecord, allowed(Scope.STREAM_READ)]
ErasesBuyers = Annotated[KeyRecord, allowed(Scope.BUYERS_ERASE)]
ReadsRefused = Annotated[KeyRecord, allowed(Scope.REFUSED_READ, REFUSED)]
ReadsOperation = Annotated[KeyRecord, allowed(Scope.OPERATION_READ)]
