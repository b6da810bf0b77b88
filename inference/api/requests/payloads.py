"""Bodies of the collector -> events and refusals, item by item."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from feature_store.contract.events import SCHEMA_VERSION, Event, check_clock
from feature_store.contract.identity import Identity
from feature_store.errors import InvalidEventError
from feature_store.sources.formats import CONTRACT, Payload, formats
from inference.api.bounds.costs import Meter
from inference.api.bounds.json_text import JsonBounds, JsonText, Span, too_many_items
from inference.api.problems import ProblemError

Json = Any
T = TypeVar("T")


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


@dataclass(frozen=True)
class Collector:
    """Takes bodies apart: bounds them, decodes them item by item, judges every item by itself."""

    hasher: Identity
    max_items: int
    bounds: JsonBounds

    def take(self, body: bytes, source: str, store: str | None, meter: Meter) -> Taken:
        """Events of a body: one payload, or a list; source: one of `sources()`.

        store: whose; None: each event of the contract says it. The meter is told of every item, also of
        one that is refused.

        Raises:
            ProblemError: 400 not JSON, 413 more items or more JSON than allowed, 422 nobody says the store.
        """
        vendor = formats()[source].payload
        if store is None and vendor is not None:
            raise ProblemError(
                422, "no-store", "an operator's key does not say whose events these are: send ?store="
            )
        text, taken, received = JsonText(body), Taken(), time.time_ns() // 1_000_000
        text.check(text.whole, self.bounds.values, self.bounds.depth)
        listed = text.opens(text.whole) == "["
        payloads = text.elements(text.whole, self.max_items) if listed else [text.whole]
        for payload in payloads:
            if vendor is None:
                self._take_contract(taken, text, payload, store, received)
            elif store is not None:
                found = self._payload(text, payload, vendor.items, taken.items)
                self._take_adapted(taken, found, vendor, store, received)
            meter.items = taken.items
        return taken

    def _item(self, text: JsonText, item: Span) -> Json:
        text.check(item, self.bounds.item_values, self.bounds.depth)
        return _json(lambda: msgspec.json.decode(text.part(item)))

    def _payload(self, text: JsonText, payload: Span, inside: str | None, before: int) -> Json:
        """A vendor's payload, its items (key `inside`) decoded one at a time; `before` came before them."""
        span = text.member(payload, inside) if inside is not None and text.opens(payload) == "{" else None
        if inside is None or span is None or text.opens(span) != "[":
            return self._item(text, payload)
        if before + 1 > self.max_items:
            raise too_many_items(self.max_items)
        items = text.elements(span, self.max_items - before)
        around = text.raw[payload.start : span.start] + b"[]" + text.raw[span.end : payload.end]
        envelope = JsonText(around)
        whole = self._item(envelope, envelope.whole)
        whole[inside] = [self._item(text, item) for item in items]
        return whole

    def _take_contract(
        self, taken: Taken, text: JsonText, item: Span, whose: str | None, received: int
    ) -> None:
        """An event of the contract, with the shop's own id of the buyer; store and schema_version may
        lack."""
        place = taken.items
        taken.items += 1
        text.check(item, self.bounds.item_values, self.bounds.depth)
        try:
            sent = _json(lambda: _decode_sent(text.part(item)))
            taken.events.append(self._contract_event(sent, whose, received))
        except msgspec.ValidationError as error:
            _json(lambda: _skip(text.part(item)))  # the decoder stopped before the item's end
            taken.refuse(place, "invalid_field", str(error)[:300])
        except InvalidEventError as error:
            taken.refuse(place, error.reason, error.detail)

    def _contract_event(self, sent: Any, whose: str | None, received: int) -> Event:
        store = sent.store or whose
        if not sent.buyer:
            raise InvalidEventError("invalid_field", "buyer is missing: the shop's own id of the shopper")
        if store is None:
            raise InvalidEventError("invalid_field", "store is missing: this key is of every store")
        if whose not in (None, store):
            raise InvalidEventError("other_store", "store is not the store of this key")
        fields = msgspec.structs.asdict(sent)
        event = Event(**{**fields, "store": store, "buyer": self.hasher.buyer(store, sent.buyer)})
        check_clock(event, received)
        return event

    def _take_adapted(self, taken: Taken, payload: Json, source: Payload, store: str, received: int) -> None:
        if source.stamp is not None:
            payload = source.stamp(payload, received)
        adapted = source.adapt(payload, store=store, hasher=self.hasher)
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


def _json(decode: Callable[[], T]) -> T:
    """Raise what is no JSON as a problem of the whole body; what is, and does not fit, as it comes."""
    try:
        return decode()
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ProblemError(400, "not-json", f"the body is not JSON: {error}") from None


def _sent_struct() -> type[msgspec.Struct]:
    """An event as a shop sends it: of the contract, but for what the collector knows. Members that the
    contract does not name are skipped while decoding, so nothing is built of them."""
    known: list[tuple[Any, ...]] = []
    for one in msgspec.structs.fields(Event):
        if one.name == "schema_version":
            known.append((one.name, one.type, SCHEMA_VERSION))
        elif one.name == "store":
            known.append((one.name, one.type | None, None))
        elif one.name == "buyer":
            known.append((one.name, str, ""))
        elif one.default is msgspec.NODEFAULT:
            known.append((one.name, one.type))
        else:
            known.append((one.name, one.type, one.default))
    return msgspec.defstruct("Sent", known, kw_only=True, gc=False)


_decode_sent: Final = msgspec.json.Decoder(_sent_struct()).decode
_skip: Final = msgspec.json.Decoder(msgspec.Raw).decode
