"""Flags target personas, and are evaluated whatever the persona API does; the API is a function here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from simpersona_client import AsyncPersonaClient, PersonaClient, Retries
from simpersona_client.openfeature import PersonaHook, persona_context
from tests.clients.python.test_requests import Script, problem

ONCE = Retries(times=0)
PERSONA = {
    "store": "acme",
    "buyer": "9f2c",
    "early": False,
    "code": 17,
    "token": "<|persona_17|>",
    "type": "comparer",
    "confidence": 0.8,
    "distance": 0.4,
    "margin": 0.1,
    "codebook_version": "v1",
    "events": 3,
    "event_time": 1,
    "assigned_at": 2,
    "feature_age_ms": 3,
    "funnel_stage": "cart",
}
Answer = Callable[[httpx.Request], httpx.Response]
EARLY = {**PERSONA, "early": True, "type": None, "confidence": None}


def by_type(flag: InMemoryFlag[str], context: EvaluationContext) -> FlagResolutionDetails[str]:
    """A rule as flag services have it: comparers that are likely to stay so get the table."""
    known = context.attributes
    comparer = known.get("persona_type") == "comparer" and float(str(known["persona_confidence"])) > 0.7
    variant = "table" if comparer else "plain"
    return FlagResolutionDetails(flag.variants[variant], reason=Reason.TARGETING_MATCH, variant=variant)


def status(flag: InMemoryFlag[str], context: EvaluationContext) -> FlagResolutionDetails[str]:
    return FlagResolutionDetails(str(context.attributes.get("persona_status")), reason=Reason.STATIC)


@pytest.fixture(scope="module", autouse=True)
def provider() -> Iterator[None]:
    variants = {"plain": "plain", "table": "comparison-table"}
    flags = {
        "listing": InMemoryFlag("plain", variants, context_evaluator=by_type),
        "status": InMemoryFlag("plain", variants, context_evaluator=status),
    }
    api.set_provider(InMemoryProvider(flags))
    yield
    api.shutdown()


@contextmanager
def flags(
    answer: Callable[[httpx.Request], httpx.Response], **settings: float
) -> Iterator[OpenFeatureClient]:
    transport = httpx.MockTransport(answer)
    with PersonaClient("http://api", "sp_x", retries=ONCE, transport=transport) as personas:
        hook = PersonaHook(personas, "acme", **{"budget_s": 20.0, **settings})
        client = api.get_client()
        client.add_hooks([hook])
        yield client
        hook.close()


def of(buyer: str | None) -> EvaluationContext:
    return EvaluationContext(targeting_key=buyer)


def test_a_flag_targets_a_type() -> None:
    with flags(Script(httpx.Response(200, json=PERSONA))) as client:
        assert client.get_string_value("listing", "default", of("4711")) == "comparison-table"


def test_the_flags_of_a_page_are_one_request() -> None:
    script = Script(httpx.Response(200, json=PERSONA), httpx.Response(200, json=EARLY))
    with flags(script, fresh_s=1_000.0) as client:
        for _ in range(5):
            assert client.get_string_value("listing", "default", of("4711")) == "comparison-table"
        assert client.get_string_value("listing", "default", of("4712")) == "plain"
        assert client.get_string_value("status", "default", of("4712")) == "early"
    assert len(script.requests) == 2


def test_an_answer_does_not_serve_for_ever() -> None:
    script = Script(httpx.Response(200, json=EARLY), httpx.Response(200, json=PERSONA))
    with flags(script, fresh_s=0.0) as client:
        assert client.get_string_value("listing", "default", of("4711")) == "plain"
        assert client.get_string_value("listing", "default", of("4711")) == "comparison-table"


@pytest.mark.parametrize("reason", ["unknown", "erased", "expired"])
def test_without_a_persona_the_reason_is_the_status(reason: str) -> None:
    with flags(Script(problem(404, f"{reason}-buyer"))) as client:
        assert client.get_string_value("status", "default", of("4711")) == reason


@pytest.mark.parametrize(
    "answer",
    [httpx.ConnectError("refused"), problem(503, "unavailable"), problem(401, "no-key"), httpx.Response(500)],
)
def test_an_api_that_is_away_costs_one_request_and_no_flag(answer: httpx.Response | Exception) -> None:
    script = Script(answer)
    with flags(script, pause_s=1_000.0) as client:
        for buyer in ("4711", "4711", "4712"):
            assert client.get_string_value("listing", "default", of(buyer)) == "plain"
            assert client.get_string_value("status", "default", of(buyer)) == "away"
    assert len(script.requests) == 1


def test_an_api_that_hangs_is_not_waited_for() -> None:
    hung, asked = threading.Event(), list[str]()

    def hang(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        hung.wait(60)
        return httpx.Response(200, json=PERSONA)

    with flags(hang, budget_s=0.01, pause_s=1_000.0) as client:
        for _ in range(3):
            assert client.get_string_value("status", "default", of("4711")) == "away"
        assert not hung.is_set()  # every flag above was evaluated before the API answered
        hung.set()
    assert len(asked) == 1


def test_the_api_is_asked_again_after_a_pause() -> None:
    script = Script(problem(503, "unavailable"), httpx.Response(200, json=PERSONA))
    with flags(script, pause_s=0.0) as client:
        assert client.get_string_value("listing", "default", of("4711")) == "plain"
        assert client.get_string_value("listing", "default", of("4711")) == "comparison-table"


def test_without_a_targeting_key_nobody_is_asked() -> None:
    with flags(Script()) as client:
        assert client.get_string_value("status", "default", of(None)) == "None"


def test_asyncio_asks_beforehand_and_the_hook_leaves_it_at_that() -> None:
    async def run(*answers: httpx.Response | Exception) -> list[str]:
        transport = httpx.MockTransport(Script(*answers))
        async with AsyncPersonaClient("http://api", "sp_x", retries=ONCE, transport=transport) as personas:
            context = await persona_context(personas, "acme", "4711", budget_s=20.0)
        assert context.targeting_key == "4711"
        with flags(Script()) as client:
            return [await client.get_string_value_async(flag, "default", context) for flag in FLAGS]

    assert asyncio.run(run(httpx.Response(200, json=PERSONA))) == ["comparison-table", "said"]
    assert asyncio.run(run(problem(404, "expired-buyer"))) == ["plain", "expired"]
    assert asyncio.run(run(httpx.ReadTimeout("slow"))) == ["plain", "away"]


FLAGS = ("listing", "status")
