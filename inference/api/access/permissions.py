"""Who may do what: the bearer key of a request, its store, its scope, its rate."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyQuery, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import Scope as AsgiScope

from inference.api.access.keys import ALL_STORES, KeyRecord, Scope, pages_of
from inference.api.access.pages import fault_of, published_key
from inference.api.access.tokens import PREFIX, ShopperClaims
from inference.api.bounds.costs import HISTORY, REFUSED, REQUEST
from inference.api.bounds.in_flight import Share
from inference.api.problems import ProblemError, unavailable
from inference.api.state import State, now_ms

_BEARER: Final = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key of one store: `simpersona keys create`."
)
_PUBLISHED: Final = APIKeyQuery(
    name="key",
    auto_error=False,
    scheme_name="published key",
    description="A key with origins, from a page of one of them: `simpersona keys create --origin`.",
)
_TOKEN: Final = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token of one shopper, which the shop's server made."
)
_ADMITTED: Final = "simpersona.admitted"


class Admission(NamedTuple):
    """A request whose key was checked: the key, what the request holds of its store's share, and of whom its
    token is, if it is one."""

    key: KeyRecord
    share: Share
    shopper: ShopperClaims | None = None

    def hold(self, count: int) -> None:
        """So many bytes of its body more.

        Raises:
            ProblemError: 429, the store's bodies hold enough memory.
        """
        self.share.hold(count)


class Guard:
    """What a route asks of a key: a scope, and how many tokens of its bucket.

    Its kinds are dependencies of FastAPI. The check itself is `admit`, which the gate calls before it lets
    the first byte of a body through.
    """

    def __init__(self, scope: Scope, cost: float) -> None:
        self.scope, self.cost = scope, cost


class Allowed(Guard):
    """A dependency: the request's key, if it holds, is of the path's store and has the scope."""

    async def __call__(
        self,
        request: Request,
        # For the OpenAPI document; the header is read by `admit`.
        _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> KeyRecord:
        """The key of the request; see `admit`."""
        return (await admit(request.scope)).key


class AllowedPages(Guard):
    """The same for a route that pages call too: their key stands in the address, since a beacon has no
    headers of its own."""

    async def __call__(
        self,
        request: Request,
        _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        _key: Annotated[str | None, Security(_PUBLISHED)],
    ) -> KeyRecord:
        """The key of the request; see `admit`."""
        return (await admit(request.scope)).key


class AllowedShopper(Guard):
    """A dependency: the request has a token of one shopper. scope: of the key that made it."""

    async def __call__(
        self,
        request: Request,
        _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_TOKEN)],
    ) -> ShopperClaims:
        """Whom the token is of; see `admit`."""
        shopper = (await admit(request.scope)).shopper
        assert shopper is not None
        return shopper


async def admit(scope: AsgiScope) -> Admission:
    """Check the key of a request, once, and take what the route costs from its bucket.

    scope: of a request that was routed to a route with a guard.

    Raises:
        ProblemError: 401 without a key that holds; 403 for another store, whether or not there is
            such a store, for a missing scope, and for a page of another origin; 429 when the key's bucket is
            empty, or its holder has enough requests under way; 503 before this process has read the topic of
            keys.
    """
    known: Admission | None = scope.get(_ADMITTED)
    if known is not None:
        return known
    guard, state = guard_of(scope["route"]), _state(scope)
    assert guard is not None
    if not state.tail.caught_up.is_set():
        raise unavailable("this process does not know yet which keys were revoked; try again")
    if isinstance(guard, AllowedShopper):
        admission = await _admit_shopper(state, _bearer(scope), guard.scope)
    else:
        record, wait_s = await state.keys.admit(_bearer(scope) or published_key(scope), guard.cost)
        record = _required(record)
        _check_page(record, scope)
        check_store(record, scope["path_params"].get("store", record.store))
        check_scope(record, guard.scope)
        _check_rate("this key", wait_s)
        admission = Admission(record, state.in_flight.enter(record.holder))
    scope[_ADMITTED] = admission
    return admission


async def _admit_shopper(state: State, token: str, scope: Scope) -> Admission:
    shopper = state.tokens.read(token, now_ms())
    if shopper is None:
        raise ProblemError(
            401,
            "no-token",
            f"send a token of the shop's that holds: Authorization: Bearer {PREFIX}...",
        )
    record, wait_s = await state.keys.admit_shopper(shopper.key, shopper.buyer)
    if record is None:
        raise ProblemError(401, "no-token", "the key that made this token was revoked")
    check_store(record, shopper.store)
    check_scope(record, scope)
    _check_rate("this token", wait_s)
    return Admission(record, state.in_flight.enter(pages_of(shopper.store)), shopper)


def _check_page(record: KeyRecord, scope: AsgiScope) -> None:
    """Hold a published key to its origins, and a server's key to the header."""
    if record.origins:
        fault = fault_of(scope, record.origins)
        if fault is not None:
            raise ProblemError(403, "other-origin", fault)
    elif not _bearer(scope):
        raise ProblemError(
            403,
            "key-in-address",
            "addresses end in logs, so only a key with origins may stand in one (simpersona keys create "
            "--origin); revoke this key, and send the next one as Authorization: Bearer",
        )


def check_scope(record: KeyRecord, scope: Scope) -> None:
    """Refuse a key that has no such scope.

    Raises:
        ProblemError: 403.
    """
    if scope not in record.scopes:
        raise ProblemError(403, "missing-scope", f"this key has no scope {scope}")


def _check_rate(whose: str, wait_s: float) -> None:
    if wait_s:
        raise ProblemError(
            429, "too-many-requests", f"{whose} has used up its rate; wait", retry_after_s=wait_s
        )


def _bearer(scope: AsgiScope) -> str:
    kind, _, token = (Headers(scope=scope).get("authorization") or "").partition(" ")
    return token if kind.lower() == "bearer" else ""


def has_key(scope: AsgiScope) -> bool:
    """Whether a request brings something that may be a key."""
    return bool(_bearer(scope) or published_key(scope))


def no_key() -> ProblemError:
    """No key, or none that holds."""
    return ProblemError(401, "no-key", "send a key that holds: Authorization: Bearer sp_...")


def release(scope: AsgiScope) -> None:
    """The request ended, or becomes a stream, which is counted as one of those."""
    admission: Admission | None = scope.get(_ADMITTED)
    if admission is not None:
        admission.share.leave()


def guard_of(route: Any) -> Guard | None:
    """What a route of FastAPI asks of a key; None: it asks for none."""
    dependant = getattr(route, "dependant", None)
    calls = [] if dependant is None else [found.call for found in dependant.dependencies]
    return next((call for call in calls if isinstance(call, Guard)), None)


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


WritesEvents = Annotated[KeyRecord, Depends(AllowedPages(Scope.EVENTS_WRITE, REQUEST))]
ReadsPersonas = Annotated[KeyRecord, allowed(Scope.PERSONAS_READ)]
ReadsStream = Annotated[KeyRecord, allowed(Scope.STREAM_READ)]
ErasesBuyers = Annotated[KeyRecord, allowed(Scope.BUYERS_ERASE)]
ReadsRefused = Annotated[KeyRecord, allowed(Scope.REFUSED_READ, REFUSED)]
ReadsHistory = Annotated[KeyRecord, allowed(Scope.HISTORY_READ, HISTORY)]
ReadsOperation = Annotated[KeyRecord, allowed(Scope.OPERATION_READ)]
CreatesTokens = Annotated[KeyRecord, allowed(Scope.TOKENS_CREATE)]
OneShopper = Annotated[ShopperClaims, Depends(AllowedShopper(Scope.TOKENS_CREATE, REQUEST))]
