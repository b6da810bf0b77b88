"""What the clients send, send again, and make of refusals; the server is a function here."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable

import httpx
import pytest

from simpersona_client import (
    AnswerError,
    AsyncPersonaClient,
    BusyError,
    NoPersonaError,
    NotAllowedError,
    PersonaClient,
    RefusedError,
    Retries,
    UnreachableError,
)

AT_ONCE = Retries(times=2, first_s=0.0)
RECEIPT = {"accepted": 1, "skipped": {}, "errors": []}
Handler = Callable[[httpx.Request], httpx.Response]


def client(handle: Handler, retries: Retries = AT_ONCE) -> PersonaClient:
    return PersonaClient("http://api", "sp_x", retries=retries, transport=httpx.MockTransport(handle))


def problem(status: int, kind: str, **more: object) -> httpx.Response:
    headers = {"Content-Type": "application/problem+json"}
    if wait := more.pop("wait", None):
        headers["Retry-After"] = str(wait)
    body = {"type": f"urn:simpersona:{kind}", "title": "T", "status": status, "detail": "because", **more}
    return httpx.Response(status, json=body, headers=headers)


class Script:
    """Answers one after the other; remembers the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.requests = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_what_is_busy_or_away_is_asked_again() -> None:
    script = Script(
        httpx.ConnectError("refused"), problem(503, "unavailable"), httpx.Response(202, json=RECEIPT)
    )
    assert client(script).send([{"event_id": "e1"}]).accepted == 1
    assert len({request.content for request in script.requests}) == 1
    assert len(script.requests) == 3


def test_patience_ends() -> None:
    script = Script(*[problem(429, "too-many-requests")] * 3)
    with pytest.raises(BusyError, match="429 too-many-requests: because"):
        client(script).catalogue()
    with pytest.raises(UnreachableError, match="does not answer: refused"):
        client(Script(*[httpx.ConnectError("refused")] * 3)).catalogue()


def test_a_longer_wait_than_patience_is_not_begun() -> None:
    script = Script(problem(429, "too-many-requests", wait=60))
    with pytest.raises(BusyError) as refused:
        client(script).catalogue()
    assert refused.value.retry_after_s == 60
    assert len(script.requests) == 1


def test_pauses_grow_from_their_upper_half_and_obey_the_server() -> None:
    retries = Retries(times=20, first_s=1.0, most_s=8.0)
    for tried, longest in ((1, 1.0), (2, 2.0), (4, 8.0), (20, 8.0)):
        pauses = [retries.pause_s(tried) for _ in range(50)]
        assert all(pause is not None and longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 1
    assert retries.pause_s(1, 7.0) == 7.0
    assert retries.pause_s(21) is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem(401, "no-key"), NotAllowedError),
        (problem(403, "other-store"), NotAllowedError),
        (problem(404, "expired-buyer"), NoPersonaError),
        (problem(404, "not-found"), RefusedError),
        (problem(422, "invalid-request"), RefusedError),
        (httpx.Response(404, text="<h1>nginx</h1>"), AnswerError),
        (httpx.Response(200, text="<h1>Welcome</h1>"), AnswerError),
        (httpx.Response(200, json={"code": 17}), AnswerError),
    ],
)
def test_a_refusal_is_one_clear_error_at_once(answer: httpx.Response, error: type[Exception]) -> None:
    script = Script(answer)
    with pytest.raises(error) as refused:
        client(script).persona("acme", "4711")
    assert type(refused.value) is error
    assert len(script.requests) == 1


def test_what_is_wrong_with_the_items_is_told() -> None:
    errors = [{"index": 0, "reason": "invalid_field", "detail": "no event_id"}]
    with pytest.raises(RefusedError) as refused:
        client(Script(problem(422, "no-valid-item", errors=errors))).send([{}])
    assert refused.value.errors[0]["detail"] == "no event_id"


@pytest.mark.parametrize("buyer", ["a/b", "..", ".", "ö?x=1#", "100%"])
def test_any_id_is_a_name_in_a_path(buyer: str) -> None:
    script = Script(problem(404, "unknown-buyer"))
    with pytest.raises(NoPersonaError):
        client(script).persona("acme", buyer)
    path = script.requests[0].url.raw_path.decode()
    assert path.startswith("/v1/stores/acme/buyers/")
    assert path.count("/") == 6
    assert script.requests[0].url.path == f"/v1/stores/acme/buyers/{buyer}/persona"


def test_large_bodies_go_as_gzip() -> None:
    script = Script(*[httpx.Response(202, json=RECEIPT)] * 2)
    small, large = [{"event_id": "e1"}], [{"event_id": f"e{number}"} for number in range(100)]
    client(script).send(small)
    client(script).send(large)
    plain, packed = script.requests
    assert json.loads(plain.content) == small
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.content)) == large


def test_the_async_client_asks_again_as_well() -> None:
    script = Script(httpx.ReadTimeout("slow"), problem(503, "unavailable"), httpx.Response(202, json=RECEIPT))

    async def run() -> int:
        transport = httpx.MockTransport(script)
        async with AsyncPersonaClient("http://api", "sp_x", retries=AT_ONCE, transport=transport) as asked:
            return (await asked.send([{"event_id": "e1"}])).accepted

    assert asyncio.run(run()) == 1
    assert script.requests[0].headers["Authorization"] == "Bearer sp_x"
