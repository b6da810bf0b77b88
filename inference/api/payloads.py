"""Bodies of the collector -> events and refusals, item by item."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from feature_store.contract.events import SCHEMA_VERSION, Event, check_clock
from feature_store.contract.identity import Identity
from feature_store.errors import InvalidEventError
from feature_store.sources.formats import CONTRACT, Payload, formats
from inference.api.problems import ProblemError

Json = Any


def sources() -> list[str]:
    """The formats that the collector understands."""
    return sorted([CONTRACT, *(name for name, found in formats().items() if found.payload is not None)])


@dataclass
class Taken:
    """What became of a body: events in order, counts of skipped items, refusals with their item's index."""

    events: list[Event] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    """(index, reason, detail); an index counts the items of the whole body."""
    items: int = 0

    def refuse(self, place: int, reason: str, detail: str) -> None:
        """Note an item that its sender has to mend."""
        self.refused.append((place, reason, detail))

    def outcomes(self) -> Counter[str]:
        """How many items were accepted, skipped for a reason, or invalid: a metric's label."""
        return Counter({"accepted": len(self.events), "invalid": len(self.refused), **self.skipped})


def take_body(body: bytes, source: str, store: str | None, hasher: Identity, max_items: int) -> Taken:
    """Events of a body: one payload, or a list; source: one of `sources()`.

    store: whose; None: each event of the contract says it.

    Raises:
        ProblemError: 400 not JSON, 413 more items than max_items, 422 nobody says the store.
    """
    payloads_of = formats()[source].payload
    if store is None and payloads_of is not None:
        raise ProblemError(
            422, "no-store", "an operator's key does not say whose events these are: send ?store="
        )
    try:
        parsed = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ProblemError(400, "not-json", f"the body is not JSON: {error}") from None
    payloads = parsed if isinstance(parsed, list) else [parsed]
    received = time.time_ns() // 1_000_000
    taken = Taken()
    for payload in payloads:
        _check_count(taken.items + (1 if payloads_of is None else payloads_of.count(payload)), max_items)
        if payloads_of is None:
            _take_contract(taken, payload, store, hasher, received)
        elif store is not None:
            _take_adapted(taken, payload, payloads_of, store, hasher, received)
    return taken


def _check_count(items: int, most: int) -> None:
    if items > most:
        raise ProblemError(413, "too-many-items", f"a request holds at most {most} items; send more requests")


def _take_contract(taken: Taken, item: Json, whose: str | None, hasher: Identity, received: int) -> None:
    """An event of the contract, with the shop's own id of the buyer; store and schema_version may lack."""
    place = taken.items
    taken.items += 1
    try:
        taken.events.append(_contract_event(item, whose, hasher, received))
    except msgspec.ValidationError as error:
        taken.refuse(place, "invalid_field", str(error)[:300])
    except InvalidEventError as error:
        taken.refuse(place, error.reason, error.detail)


def _contract_event(item: Json, whose: str | None, hasher: Identity, received: int) -> Event:
    if not isinstance(item, dict):
        raise InvalidEventError("invalid_field", "an event is a JSON object")
    raw_id, store = item.get("buyer"), item.get("store", whose)
    if not isinstance(raw_id, str) or not raw_id:
        raise InvalidEventError("invalid_field", "buyer is missing: the shop's own id of the shopper")
    if not isinstance(store, str):
        raise InvalidEventError("invalid_field", "store is missing: this key is of every store")
    if whose not in (None, store):
        raise InvalidEventError("other_store", "store is not the store of this key")
    named = {"store": store, "buyer": hasher.buyer(store, raw_id)}
    event = msgspec.convert({"schema_version": SCHEMA_VERSION, **item, **named}, Event)
    check_clock(event, received)
    return event


def _take_adapted(
    taken: Taken, payload: Json, source: Payload, store: str, hasher: Identity, received: int
) -> None:
    if source.stamp is not None:
        payload = source.stamp(payload, received)
    adapted = source.adapt(payload, store=store, hasher=hasher)
    first = taken.items
    taken.items += len(adapted.events) + sum(adapted.skipped.values())
    for place, detail in zip(adapted.places, adapted.details, strict=True):
        reason, _, said = detail.partition(": ")
        taken.refuse(first + place, reason, said)
    faults = Counter(detail.partition(": ")[0] for detail in adapted.details)
    for reason, count in adapted.skipped.items():
        if kept := count - faults[reason]:
            taken.skipped[reason] += kept
    for place, event in zip(adapted.event_places, adapted.events, strict=True):
        try:
            check_clock(event, received)
        except InvalidEventError as error:
            taken.refuse(first + place, error.reason, error.detail)
        else:
            taken.events.append(event)
