"""What is answered of buyers: rows of the online store, notes and erasures, made into personas."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, Literal, NamedTuple

from feature_store.contract.events import record_key
from feature_store.fold.funnel import Stratum
from feature_store.online.assignment import token
from feature_store.online.client import store_answers
from feature_store.online.reads import BuyerRead, Progressed, Reading
from feature_store.online.servers.shared import Replies
from inference.api.requests.notes import both, decode_requested
from inference.api.requests.requested import is_opted_out
from inference.api.state import State, now_ms

Stage = Literal["purchased", "checkout", "cart", "browsing"]
Absence = Literal["unknown", "erased", "expired"]
Answer = dict[str, Any]
"""The members of routes.personas.PersonaAnswer, of which it is the JSON."""

_STAGES: Final[dict[Stratum, Stage]] = {"A": "purchased", "B": "checkout", "C": "cart", "D": "browsing"}
_DAY_MS: Final = 86_400_000
_NOTHING: Final = BuyerRead(None, None)
WHY: Final[dict[Absence, str]] = {
    "unknown": "nothing was ever heard of this buyer",
    "erased": "this buyer was erased, and nothing was heard of them since; or they have opted out",
    "expired": "this buyer's last event is too long ago",
}


class Asking(NamedTuple):
    """Buyers of a store, each by all names in events, and the Kafka keys of all names; their rows and notes
    are on their way."""

    store: str
    buyers: Sequence[Sequence[str]]
    keys: list[bytes]
    reading: Reading
    notes: Replies

    def cancel(self) -> None:
        """Nobody wants them; nothing happens to what is there already."""
        self.reading.cancel()
        self.notes.cancel()


async def begin(state: State, store: str, buyers: Sequence[Sequence[str]]) -> Asking:
    """Ask for what is known of buyers and do not wait: the check of a key joins the same round trip.

    buyers: the names of each, as `State.names` gives them.

    Raises:
        OnlineStoreError: the store does not answer.
    """
    keys = [record_key(store, name) for names in buyers for name in names]
    reading = await state.buyers.begin(keys)
    return Asking(store, buyers, keys, reading, state.store.ask(both(keys)))


async def answers(state: State, asking: Asking) -> list[Answer | Absence]:
    """A persona each, or why there is none.

    Raises:
        OnlineStoreError: the store does not answer.
        RowVersionError: a row is of another release.
    """
    reads = await asking.reading.rows()
    with store_answers():
        (notes,) = await asking.notes
    names = [name for names in asking.buyers for name in names]
    each = (
        _answer(state, asking.store, name, key, read, notes[2 * place], notes[2 * place + 1])
        for place, (name, key, read) in enumerate(zip(names, asking.keys, reads, strict=True))
    )
    found = [_best(list(islice(each, len(names)))) for names in asking.buyers]
    for answer in found:
        outcome = answer if isinstance(answer, str) else "early" if answer["early"] else "said"
        state.metrics.personas_of[outcome].inc()
    return found


def _best(answers: Sequence[Answer | Absence]) -> Answer | Absence:
    """Of what is known under a buyer's names, the newest first: a persona that was assigned, before one that
    is on its way, before a reason why there is none."""
    return min(answers, key=_rank)


def _rank(answer: Answer | Absence) -> int:
    if isinstance(answer, str):
        return 3 if answer == "unknown" else 2
    return 1 if answer["early"] else 0


def _answer(
    state: State,
    store: str,
    buyer: str,
    key: bytes,
    read: BuyerRead,
    heard_of: bytes | None,
    requested: bytes | None,
) -> Answer | Absence:
    (persona, progressed), is_erased = _since_erasure(state, key, read, requested)
    if persona is None:
        if progressed is not None or (heard_of is not None and not is_opted_out(state, key)):
            return _early(state, store, buyer, progressed)
        return "erased" if is_erased else "unknown"
    last_time = persona.event_time if progressed is None else max(persona.event_time, progressed.last_time)
    age = max(0, now_ms() - last_time)
    ttl = state.settings.persona_ttl_days
    if ttl is not None and age > ttl * _DAY_MS:
        return "expired"
    return {
        "store": store,
        "buyer": buyer,
        "early": False,
        "code": persona.code,
        "token": persona.token,
        "type": persona.type,
        "confidence": persona.confidence,
        "forecast": persona.forecast,
        "forecast_probability": persona.forecast_probability,
        "distance": persona.distance,
        "margin": persona.margin,
        "codebook_version": persona.codebook_version,
        "events": persona.events,
        "event_time": last_time,
        "assigned_at": persona.assigned_at,
        "feature_age_ms": age,
        **_facts(progressed),
    }


def _facts(progressed: Progressed | None) -> dict[str, Any]:
    """What is known of a buyer now, from the state row; it is newer than the last assignment, or as new."""
    if progressed is None:
        return {"funnel_stage": None, "facts": None}
    facts = {
        "has_carted": progressed.has_carted,
        "has_bought": progressed.has_bought,
        "visits": progressed.visits,
    }
    return {"events": progressed.events, "funnel_stage": _STAGES[progressed.stratum], "facts": facts}


def _since_erasure(
    state: State, key: bytes, read: BuyerRead, requested: bytes | None
) -> tuple[BuyerRead, bool]:
    """The rows without those from before an erasure, which the owner of the partition is yet to delete; and
    whether there was one. One that another process noted a moment ago voids all, until the log says where it
    lies."""
    erasure = state.erasures.by_key.get(key)
    if requested is not None:
        asked = decode_requested(requested)
        if erasure is None or erasure.requested_at < asked.at:
            return _NOTHING, True
    if erasure is None:
        return read, False
    persona = read.persona if read.persona and read.persona.offset >= erasure.before_offset else None
    progressed = read.state if read.state and read.state.since_offset >= erasure.before_offset else None
    return BuyerRead(persona, progressed), True


def _early(state: State, store: str, buyer: str, progressed: Progressed | None) -> Answer:
    guess = state.models.guess(store)
    return {
        "store": store,
        "buyer": buyer,
        "early": True,
        "code": guess.code,
        "token": token(guess.code),
        "type": None,
        "confidence": None,
        "forecast": guess.forecast,
        "forecast_probability": guess.probability,
        "distance": None,
        "margin": None,
        "codebook_version": state.models.model.version,
        "events": 0,
        "event_time": None if progressed is None else progressed.last_time,
        "assigned_at": None,
        "feature_age_ms": None,
        **_facts(progressed),
    }
