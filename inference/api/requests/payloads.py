"""Bodies of the collector -> events and refusals, item by item."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from feature_store.contract.events import SCHEMA_VERSION, Event, record_key
from feature_store.contract.identity import Identity
from feature_store.errors import InvalidEventError, SkippedItemError
from feature_store.sources.adapters.common import refuse_without_consent
from feature_store.sources.adapters.consents import stated
from feature_store.sources.adapters.contract import lenient_fields
from feature_store.sources.formats import CONTRACT, Format, Payload, formats
from feature_store.sources.skips import SkipReason, invalid
from feature_store.sources.values.context import Context
from feature_store.sources.values.ids import is_placeholder
from feature_store.sources.values.notes import Note
from feature_store.sources.values.reader import Reader
from inference.api.bounds.costs import Meter
from inference.api.bounds.json_text import JsonBounds, JsonText, Span, too_many_items
from inference.api.problems import ProblemError
from inference.api.requests.ages import YEAR_MS, check_time

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
    notes: list[Note] = field(default_factory=list)
    """On values of the events that were not taken as sent."""
    decisions: dict[bytes, bool] = field(default_factory=dict)
    """What items state of consent: Kafka key of a buyer -> given or refused; the last one holds."""

    def refuse(self, place: int, reason: str, detail: str) -> None:
        """Note an item that its sender has to mend."""
        self.refused.append((place, reason, detail))

    def leave_out(self, is_out: Callable[[bytes], bool]) -> None:
        """Skip the events of those who have opted out. is_out: by their Kafka keys."""
        kept = [event for event in self.events if not is_out(record_key(event.store, event.buyer))]
        if len(kept) < len(self.events):
            self.skipped[SkipReason.OPTED_OUT] += len(self.events) - len(kept)
            self.events = kept

    def outcomes(self) -> Counter[str]:
        """How many items were accepted, skipped for a reason, or invalid: a metric's label."""
        return Counter({"accepted": len(self.events), "invalid": len(self.refused), **self.skipped})


@dataclass(frozen=True)
class Collector:
    """Takes bodies apart: bounds them, decodes them item by item, judges every item by itself.

    max_age_ms: how old an event may be.
    """

    hasher: Identity
    max_items: int
    bounds: JsonBounds
    max_age_ms: int = YEAR_MS

    def take(self, body: bytes, source: str, store: str | None, meter: Meter) -> Taken:
        """Events of a body: one payload, a list, or payloads one after another (lines); source: one of
        `sources()`.

        store: whose; None: each event of the contract says it. The meter is told of every item, also of
        one that is refused.

        Raises:
            ProblemError: 400 not JSON, 413 more items or more JSON than allowed, 422 nobody says the store.
        """
        kind = formats()[source]
        vendor = kind.payload
        if store is None and vendor is not None:
            raise ProblemError(
                422, "no-store", "an operator's key does not say whose events these are: send ?store="
            )
        text, taken, received = JsonText(body), Taken(), time.time_ns() // 1_000_000
        text.check(text.whole, self.bounds.values, self.bounds.depth)
        for payload in self._payloads(text):
            if vendor is None:
                self._take_contract(taken, text, payload, store, received)
            elif store is not None:
                found = self._payload(text, payload, vendor.items, taken.items)
                self._take_adapted(taken, found, kind, vendor, store, received)
            meter.items = taken.items
        return taken

    def _payloads(self, text: JsonText) -> list[Span]:
        if text.opens(text.whole) == "[":
            return text.elements(text.whole, self.max_items)
        return text.values(text.whole, self.max_items) or [text.whole]

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
        read = Reader(Context(received_ms=received))
        try:
            sent: Any
            try:
                sent = _json(lambda: _decode_sent(text.part(item)))
            except msgspec.ValidationError:  # which stopped before the item's end
                sent = _read_sent(_json(lambda: msgspec.json.decode(text.part(item))), read)
            event = self._contract_event(sent, whose, received)
            if sent.consent is not None:
                taken.decisions[record_key(event.store, event.buyer)] = sent.consent
            refuse_without_consent(sent.consent)
            taken.events.append(event)
            taken.notes += read.notes
        except msgspec.ValidationError as error:
            taken.refuse(place, "invalid_field", str(error)[:300])
        except InvalidEventError as error:
            taken.refuse(place, error.reason, error.detail)
        except SkippedItemError as error:
            if error.reason in (SkipReason.NO_BUYER_ID, SkipReason.OPTED_OUT):
                taken.skipped[error.reason] += 1
            else:
                taken.refuse(place, "invalid_field", error.detail)

    def _contract_event(self, sent: Any, whose: str | None, received: int) -> Event:
        store = sent.store or whose
        if sent.buyer is None:
            raise InvalidEventError("invalid_field", "buyer is missing: the shop's own id of the shopper")
        if is_placeholder(sent.buyer):
            raise SkippedItemError(SkipReason.NO_BUYER_ID, "there is no buyer id in buyer")
        if store is None:
            raise InvalidEventError("invalid_field", "store is missing: this key is of every store")
        if whose not in (None, store):
            raise InvalidEventError("other_store", "store is not the store of this key")
        fields = {name: getattr(sent, name) for name in Event.__struct_fields__}
        event = Event(**{**fields, "store": store, "buyer": self.hasher.buyer(store, sent.buyer)})
        check_time(event, received, self.max_age_ms, "ms")
        return event

    def _take_adapted(
        self, taken: Taken, payload: Json, kind: Format, source: Payload, store: str, received: int
    ) -> None:
        context = Context(received_ms=received)
        adapted = source.adapt(payload, store=store, hasher=self.hasher, context=context)
        taken.notes += adapted.notes
        for decided in adapted.decisions:
            taken.decisions[record_key(store, decided.buyer)] = decided.given
        first = taken.items
        taken.items += len(adapted.events) + sum(adapted.skipped.values())
        for place, detail in zip(adapted.places, adapted.details, strict=True):
            reason, _, rest = detail.partition(": ")
            taken.refuse(first + place, reason, rest)
        faults = Counter(detail.partition(": ")[0] for detail in adapted.details)
        for reason, count in adapted.skipped.items():
            if kept := count - faults[reason]:
                taken.skipped[reason] += kept
        for place, event in zip(adapted.event_places, adapted.events, strict=True):
            try:
                check_time(event, received, self.max_age_ms, kind.time_unit)
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
    known: list[tuple[Any, ...]] = [("consent", bool | None, None)]
    for one in msgspec.structs.fields(Event):
        if one.name == "schema_version":
            known.append((one.name, one.type, SCHEMA_VERSION))
        elif one.name == "store":
            known.append((one.name, one.type | None, None))
        elif one.name == "buyer":
            known.append((one.name, str | None, None))
        elif one.default is msgspec.NODEFAULT:
            known.append((one.name, one.type))
        else:
            known.append((one.name, one.type, one.default))
    return msgspec.defstruct("Sent", known, kw_only=True, gc=False)


_Sent: Final = _sent_struct()
_decode_sent: Final = msgspec.json.Decoder(_Sent).decode


def _read_sent(row: Json, read: Reader) -> Any:
    """An event of which something does not fit the contract: without what is optional and cannot be read.

    Raises:
        msgspec.ValidationError, SkippedItemError: what is required is missing or wrong.
    """
    if not isinstance(row, dict):
        raise invalid("an event is a JSON object")
    buyer = row.get("buyer")
    if not isinstance(buyer, str | None):
        kind = "a number" if isinstance(buyer, int | float) and not isinstance(buyer, bool) else "no text"
        raise invalid(f"buyer is {kind}: send the shop's own id of the shopper as text")
    consent = stated(row.get("consent"))
    if consent is None and row.get("consent") is not None:
        raise invalid(
            "consent is true or false: what the shopper decided; leave it out where nothing is known"
        )
    return msgspec.convert({**lenient_fields(row, read), "buyer": buyer, "consent": consent}, _Sent)
