"""OpenFeature: the persona in the evaluation context, so that flags and experiments can target types.

Attributes, all of them always there or none of their group:

persona_status              said (assigned), early (the store's prior), unknown, erased, expired, away (no
                            answer in time)
persona_code, persona_token, persona_codebook_version     with said and early
persona_type, persona_confidence                          with said and early, where the bundle has types

Targeting rules treat an attribute that is not there as no match, so a flag is always evaluated.
Needs the extra: simpersona-client[openfeature].
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from openfeature.evaluation_context import EvaluationContext
from openfeature.hook import Hook, HookContext, HookHints

from simpersona_client import (
    AsyncPersonaClient,
    ClientError,
    NoPersonaError,
    Persona,
    PersonaClient,
)

log = logging.getLogger(__name__)

Attributes = Mapping[str, bool | int | float | str]

STATUS: Final = "persona_status"
_AWAY: Final[Attributes] = {STATUS: "away"}
_THREADS: Final = 16
_KEPT: Final = 10_000


class PersonaHook(Hook):
    """A hook whose `before` asks the persona API for the buyer that the targeting key names.

    An evaluation waits `budget_s` at most. An answer serves for `fresh_s`, so that the flags of one page are
    one request. After a failure nobody asks for `pause_s`, so an API that is away costs one budget, not one
    per flag. An evaluation whose context has a persona_status already (see `persona_context`) asks nothing.
    """

    def __init__(
        self,
        client: PersonaClient,
        store: str,
        *,
        pseudonym: bool = False,
        budget_s: float = 0.05,
        fresh_s: float = 5.0,
        pause_s: float = 1.0,
    ) -> None:
        """client: one with retries=Retries(times=0) and a timeout_s near the budget. store: of the buyers.
        pseudonym: the targeting key is one, not the shop's own id."""
        self._client, self._store, self._pseudonym = client, store, pseudonym
        self._budget_s, self._fresh_s, self._pause_s = budget_s, fresh_s, pause_s
        self._threads = ThreadPoolExecutor(_THREADS, "persona-hook")
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, tuple[float, Future[Attributes]]] = OrderedDict()
        self._ask_again_at = 0.0

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext | None:
        """The attributes of this buyer; never raises and never takes much longer than the budget."""
        buyer = hook_context.evaluation_context.targeting_key
        if buyer is None or STATUS in hook_context.evaluation_context.attributes:
            return None
        asked = self._ask(buyer)
        if asked is None:
            return EvaluationContext(attributes=_AWAY)
        try:
            return EvaluationContext(attributes=asked.result(self._budget_s))
        except TimeoutError:
            self._failed("no answer in time")
        except ClientError as error:
            self._failed(str(error))
        return EvaluationContext(attributes=_AWAY)

    def close(self) -> None:
        """End its threads; the client is closed by who made it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, buyer: str) -> Future[Attributes] | None:
        """The request for a buyer, made a moment ago or now; None while nobody asks or waits."""
        now = time.monotonic()
        with self._lock:
            paused = now < self._ask_again_at
            at, asked = self._asked.get(buyer, (0.0, None))
            if asked is not None and now - at < self._fresh_s and not _broken(asked):
                return None if paused and not asked.done() else asked
            if paused:
                return None
            asked = self._threads.submit(self._attributes, buyer)
            self._asked[buyer] = (now, asked)
            self._asked.move_to_end(buyer)
            while len(self._asked) > _KEPT:
                self._asked.popitem(last=False)
        return asked

    def _attributes(self, buyer: str) -> Attributes:
        try:
            return attributes(self._client.persona(self._store, buyer, pseudonym=self._pseudonym))
        except NoPersonaError as error:
            return _none(error)

    def _failed(self, why: str) -> None:
        with self._lock:
            self._ask_again_at = time.monotonic() + self._pause_s
        log.warning("no persona for this flag: %s", why)


async def persona_context(
    client: AsyncPersonaClient,
    store: str,
    buyer: str,
    *,
    pseudonym: bool = False,
    budget_s: float = 0.05,
) -> EvaluationContext:
    """The context of a buyer for asyncio, where a hook would hold up the loop: make it once for each request
    of yours, and evaluate its flags with it. Answers in about `budget_s` whatever happens."""
    try:
        async with asyncio.timeout(budget_s):
            known = attributes(await client.persona(store, buyer, pseudonym=pseudonym))
    except NoPersonaError as error:
        known = _none(error)
    except (ClientError, TimeoutError) as error:
        log.warning("no persona for these flags: %s", str(error) or "no answer in time")
        known = _AWAY
    return EvaluationContext(targeting_key=buyer, attributes=known)


def attributes(persona: Persona) -> Attributes:
    """What flags may target of a persona."""
    known: dict[str, bool | int | float | str] = {
        STATUS: "early" if persona.early else "said",
        "persona_code": persona.code,
        "persona_token": persona.token,
        "persona_codebook_version": persona.codebook_version,
    }
    stated = {
        "persona_type": persona.type,
        "persona_confidence": persona.confidence,
        "persona_forecast": persona.forecast,
        "persona_forecast_probability": persona.forecast_probability,
    }
    known |= {name: value for name, value in stated.items() if value is not None}
    if persona.facts is not None:
        known["persona_has_carted"] = persona.facts.has_carted
        known["persona_has_bought"] = persona.facts.has_bought
        known["persona_visits"] = persona.facts.visits
    return known


def _none(error: NoPersonaError) -> Attributes:
    return {STATUS: error.kind.removesuffix("-buyer")}


def _broken(asked: Future[Attributes]) -> bool:
    return asked.done() and (asked.cancelled() or asked.exception() is not None)
