"""Bodies of the collector -> events and refusals, item by item."""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from feature_store.contract.events import SCHEMA_VERSION, Event, check_clock
from feature_store.contract.identity import Identity
from feature_store.errors import InvalidEventError
from feature_store.sources.adapters import ga4, segment, shopify
from feature_store.sources.adapters.common import Adapted
from inference.api.problems import ProblemError

Json = Any


class Source(enum.StrEnum):
    """Formats that the collector understands."""

    CONTRACT = "contract"
    SHOPIFY = "shopify"
    SEGMENT = "segment"
    GA4 = "ga4"


_ADAPTERS: Final[dict[Source, Callable[..., Adapted]]] = {
    Source.SHOPIFY: shopify.adapt,
    Source.SEGMENT: segment.adapt,
    Source.GA4: ga4.adapt,
}


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


def take_body(body: bytes, source: Source, store: str | None, hasher: Identity, max_items: int) -> Taken:
    """Events of a body: one payload, or a list. store: whose; None: each event of the contract says it.

    Raises:
        ProblemError: 400 not JSON, 413 more items than max_items, 422 nobody says the store.
    """
    if store is None and source is not Source.CONTRACT:
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
        _check_count(taken.items + _count(payload, source), max_items)
        if source is Source.CONTRACT:
            _take_contract(taken, payload, store, hasher, received)
        elif store is not None:
            _take_adapted(taken, payload, source, store, hasher, received)
    return taken


def _count(payload: Json, source: Source) -> int:
    """How many items a payload holds."""
    inside = {Source.SEGMENT: "batch", Source.GA4: "events"}.get(source)
    items = payload.get(inside) if inside is not None and isinstance(payload, dict) else None
    return len(items) if isinstance(items, list) else 1


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
    taken: Taken, payload: Json, source: Source, store: str, hasher: Identity, received: int
) -> None:
    if source is Source.GA4 and isinstance(payload, dict) and "events" in payload:
        payload = {"timestamp_micros": received * 1000} | payload  # left out, it means "now"
    adapted = _ADAPTERS[source](payload, store=store, hasher=hasher)
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
