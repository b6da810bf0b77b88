"""What the adapters share: what becomes of a payload, how an event is built, and walks through JSON.

An adapter names every field that it takes (an allow-list); nothing else of a payload can leave it. Details
of skipped items never quote a payload, which may hold personal data. Loose values are read by the Reader that
`adapt_items` hands over, and by nothing else: its notes leave with the events.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from feature_store.contract.bots import is_bot
from feature_store.contract.events import SCHEMA_VERSION, Event, EventType, line_of
from feature_store.contract.identity import Identity
from feature_store.errors import SkippedItemError, UnmappedEventError
from feature_store.sources.adapters.order_names import order_name
from feature_store.sources.skips import FAULTS, SkipReason, invalid
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.notes import Note, Reason
from feature_store.sources.values.reader import Fields, Reader

Json: TypeAlias = Any
"""Whatever a JSON decoder gave: adapters trust no shape."""

OPTIONAL_TYPES: Final[dict[str, Any]] = {
    field.name: field.type for field in msgspec.structs.fields(Event) if field.default is None
}
"""Fields of an event that may be None, with their types."""
_MAX_NAME: Final = 512
_BLANKS: Final = re.compile(r"[\s_-]+")


class Adapted(NamedTuple):
    """What became of one payload: its events in order, and how many of its items were skipped, and why."""

    events: list[Event]
    skipped: dict[SkipReason, int]
    details: list[str]
    """One sentence for each item skipped by a reason in FAULTS."""
    places: list[int]
    """Of each of these items, its index in the payload."""
    event_places: list[int]
    """Of each event, its item's index in the payload."""
    notes: Sequence[Note] = ()
    """On values of the events that were not taken as sent."""
    unmapped: Sequence[str] = ()
    """The names of items skipped as unmapped_event, where they have one."""
    decisions: Sequence[Decision] = ()
    """What items state of their buyers' consent, in order."""


class Decision(NamedTuple):
    """What an item states of its buyer's consent. buyer: the name in events."""

    buyer: str
    given: bool


def decision(
    given: bool | None, read: Reader, store: str, identity: Identity, buyers: Mapping[str, Json]
) -> Decision | None:
    """What an item states, and of whom; None: nothing, or of nobody who can be named."""
    if given is None:
        return None
    try:
        return Decision(identity.buyer(store, read.buyer(buyers)), given)
    except SkippedItemError:
        return None


def adapt_items(
    items: Iterable[Json],
    adapt_one: Callable[[Json, Reader], Event],
    context: Context = NO_CONTEXT,
    decide: Callable[[Json, Reader], Decision | None] = lambda _item, _read: None,
) -> Adapted:
    """Adapt each item; one that is refused leaves the others alone.

    decide: what an item states of consent. One that states that there is none is skipped, whatever it is.
    """
    read = Reader(context)
    events: list[Event] = []
    skipped: Counter[SkipReason] = Counter()
    details: list[str] = []
    places: list[int] = []
    event_places: list[int] = []
    names: list[str] = []
    decisions: list[Decision] = []
    for place, item in enumerate(items):
        noted = len(read.notes)
        try:
            if (decided := decide(item, read)) is not None:
                decisions.append(decided)
                refuse_without_consent(decided.given)
            events.append(adapt_one(item, read))
            event_places.append(place)
        except SkippedItemError as error:
            del read.notes[noted:]
            reason = SkipReason(error.reason)
            skipped[reason] += 1
            if reason in FAULTS:
                details.append(str(error))
                places.append(place)
            if isinstance(error, UnmappedEventError) and error.name is not None:
                names.append(error.name)
    return Adapted(events, dict(skipped), details, places, event_places, read.notes, names, decisions)


def build_event(
    fields: Fields,
    *,
    read: Reader,
    store: str,
    buyers: Mapping[str, Json],
    identity: Identity,
    content: Json,
    order: str | None = None,
    line: str | None = None,
) -> Event:
    """Validate the fields against the contract and name buyer and event.

    fields needs type and timestamp; `buyers`: candidates for the buyer's id, by their names in the payload.
    order and line: as sent, of a purchase or refund; the event gets a keyed hash of the order's name. Such a
    purchase is named by buyer, order and line, since a reloaded thank-you page sends the order again under a
    new event id. An event without event_id is named by a keyed hash of buyer, type and `content`: what tells
    it from the buyer's other events.

    Raises:
        SkippedItemError: no_buyer_id or invalid.
    """
    buyer = identity.buyer(store, read.buyer(buyers))
    named: list[Json] | None = None
    if order is not None:
        order = order_name(order)
        fields["order"], fields["line"] = identity.event_id(store, f"order/{order}".encode()), line
        if fields["type"] == "purchase":
            part = line_of(line, fields.get("value"), fields.get("product_id"))
            named = [buyer, "purchase", order] if part is None else [buyer, "purchase", order, part]
    if named is None and fields.get("event_id") is None:
        named = [buyer, fields["type"], content]
    if named is not None:
        try:
            fields["event_id"] = identity.event_id(store, msgspec.json.encode(named, order="deterministic"))
        except (msgspec.EncodeError, TypeError, ValueError, RecursionError, OverflowError) as error:
            raise invalid(f"the item cannot be written as JSON: {type(error).__name__}") from None
    sent = {"schema_version": SCHEMA_VERSION, "store": store, "buyer": buyer, **fields}
    try:
        return msgspec.convert(sent, Event)
    except msgspec.ValidationError:
        return convert_without_unfit(sent, read)


def convert_without_unfit(sent: Fields, read: Reader) -> Event:
    """The event of these fields, without the optional ones that break the contract.

    Raises:
        SkippedItemError: invalid, for a required field.
    """
    kept = dict(sent)
    for name, its_type in OPTIONAL_TYPES.items():
        try:
            msgspec.convert(sent.get(name), its_type)
        except msgspec.ValidationError:
            kept[name] = None
            read.emptied(name, Reason.INVALID, sent[name])  # type: ignore[arg-type]
    try:
        return msgspec.convert(kept, Event)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def refuse_bot(user_agent: Json) -> None:
    """Raise SkippedItemError (bot) if the user agent is a known crawler's."""
    if isinstance(user_agent, str) and is_bot(user_agent):
        raise SkippedItemError(SkipReason.BOT, "the user agent is a known bot")


def refuse_without_consent(given: bool | None) -> None:
    """Raise SkippedItemError (opted_out) where consent is refused."""
    if given is False:
        raise SkippedItemError(SkipReason.OPTED_OUT, "the shopper did not agree to be measured")


def unmapped(name: Json = None) -> UnmappedEventError:
    """The error for an item whose event name is not known at all: custom, or misspelt."""
    return UnmappedEventError(name[:_MAX_NAME] if isinstance(name, str) and name.strip() else None)


def other_event() -> SkippedItemError:
    """The error for an item that its vendor documents and that means nothing here."""
    return SkippedItemError(SkipReason.OTHER_EVENT, "an event of the vendor's that means nothing here")


def event_type(name: Json, ours: Mapping[str, EventType], others: Collection[str]) -> EventType:
    """The event type of ours that a vendor's name means.

    `others`: names that the vendor documents and that mean nothing here. They are ordinary traffic, so
    they are told from names that nobody knows, which a pixel sends after a change that nobody announced.

    Raises:
        SkippedItemError: other_event or unmapped_event.
    """
    kind = ours.get(name) if isinstance(name, str) else None
    if kind is not None:
        return kind
    if isinstance(name, str) and name in others:
        raise other_event()
    raise unmapped(name)


def get(value: Json, *path: str | int) -> Json:
    """What lies at the path of keys and indices, or None wherever it breaks off."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, Sequence) and not isinstance(value, str | bytes):
            value = value[step] if -len(value) <= step < len(value) else None
        else:
            return None
    return value


def items_of(value: Json) -> list[Json]:
    """The list at hand, or an empty one."""
    return value if isinstance(value, list) else []


def elements(value: Json) -> list[Json] | None:
    """The items of a list, or of an object by index ({"0": ..., "2": ...}), or a lone object; else None."""
    if not isinstance(value, dict):
        return value if isinstance(value, list) else None
    if not value or not all(isinstance(key, str) and key.isdecimal() and len(key) < 10 for key in value):
        return [value] if value else []
    return [value[key] for key in sorted(value, key=int)]


def json_inside(value: Json) -> Json:
    """What a text of a JSON object or list holds (None: it is broken); any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def spelling(name: str) -> str:
    """A name without what senders spell differently: case, blanks, "_" and "-"."""
    return _BLANKS.sub("", name[:_MAX_NAME]).casefold()
