"""What the adapters share: the result type, why an item is skipped, and strict readers of loose values.

An adapter names every field that it takes (an allow-list); nothing else of a payload can leave it. Details
of skipped items never quote a payload, which may hold personal data.
"""

from __future__ import annotations

import enum
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from feature_store.contract.bots import is_bot
from feature_store.contract.events import SCHEMA_VERSION, Event, EventType
from feature_store.contract.identity import Identity
from feature_store.errors import SkippedItemError

Fields: TypeAlias = dict[str, Any]
"""Contract fields of an event in the making; None where unknown."""
Json: TypeAlias = Any
"""Whatever a JSON decoder gave: adapters trust no shape."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
TimeUnit = Literal["iso8601", "s", "ms", "us", "ns"]
_TICKS_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_NO_ID: Final = frozenset(
    {"", "null", "undefined", "none", "nan", "(not set)", "00000000-0000-0000-0000-000000000000"}
)
"""What broken pixels send for "unknown"; taken as an id, it would merge thousands of buyers into one."""
_MAX_TEXT: Final = 512
_BLANKS: Final = re.compile(r"[\s_-]+")


class SkipReason(enum.StrEnum):
    """Why an item became no event. Bounded: it is a metric label."""

    BOT = "bot"
    NO_BUYER_ID = "no_buyer_id"
    OTHER_EVENT = "other_event"
    UNMAPPED_EVENT = "unmapped_event"
    SESSION_BOUNDARY = "session_boundary"
    OPTED_OUT = "opted_out"
    BAD_TIMESTAMP = "bad_timestamp"
    INVALID = "invalid"


FAULTS: Final = frozenset({SkipReason.BAD_TIMESTAMP, SkipReason.INVALID})
"""The reasons that mean a broken sender; the others are ordinary traffic."""


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


def adapt_items(items: Iterable[Json], adapt_one: Callable[[Json], Event]) -> Adapted:
    """Adapt each item; one that is refused leaves the others alone."""
    events: list[Event] = []
    skipped: Counter[SkipReason] = Counter()
    details: list[str] = []
    places: list[int] = []
    event_places: list[int] = []
    for place, item in enumerate(items):
        try:
            events.append(adapt_one(item))
            event_places.append(place)
        except SkippedItemError as error:
            reason = SkipReason(error.reason)
            skipped[reason] += 1
            if reason in FAULTS:
                details.append(str(error))
                places.append(place)
    return Adapted(events, dict(skipped), details, places, event_places)


def build_event(
    fields: Fields,
    *,
    store: str,
    raw_buyer: Json,
    identity: Identity,
    content: Json,
    order: str | None = None,
) -> Event:
    """Validate the fields against the contract and name buyer and event.

    fields needs type and timestamp. A purchase whose `order` is known is named by a keyed hash of buyer and
    order, since a reloaded thank-you page sends the order again under a new event id. An event without
    event_id is named by one of buyer, type and `content`: what tells it from the buyer's other events.

    Raises:
        SkippedItemError: no_buyer_id or invalid.
    """
    raw_id = identifier(raw_buyer)
    if raw_id is None:
        raise SkippedItemError(SkipReason.NO_BUYER_ID, "the item has no buyer id")
    buyer = identity.buyer(store, raw_id)
    if order is not None or fields.get("event_id") is None:
        named = [buyer, fields["type"], content if order is None else order]
        try:
            fields["event_id"] = identity.event_id(store, msgspec.json.encode(named, order="deterministic"))
        except (msgspec.EncodeError, TypeError, ValueError, RecursionError, OverflowError) as error:
            raise invalid(f"the item cannot be written as JSON: {type(error).__name__}") from None
    try:
        return msgspec.convert(
            {"schema_version": SCHEMA_VERSION, "store": store, "buyer": buyer, **fields}, Event
        )
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def refuse_bot(user_agent: Json) -> None:
    """Raise SkippedItemError (bot) if the user agent is a known crawler's."""
    if isinstance(user_agent, str) and is_bot(user_agent):
        raise SkippedItemError(SkipReason.BOT, "the user agent is a known bot")


def invalid(detail: str) -> SkippedItemError:
    """The error for an item whose sender is at fault."""
    return SkippedItemError(SkipReason.INVALID, detail)


def unmapped() -> SkippedItemError:
    """The error for an item whose event name is not known at all: custom, or misspelt."""
    return SkippedItemError(SkipReason.UNMAPPED_EVENT, "no event type of ours fits")


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
        raise SkippedItemError(SkipReason.OTHER_EVENT, "an event of the vendor's that means nothing here")
    raise unmapped()


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


def spelling(name: str) -> str:
    """A name without what senders spell differently: case, blanks, "_" and "-"."""
    return _BLANKS.sub("", name[:_MAX_TEXT]).casefold()


def identifier(value: Json) -> str | None:
    """An id exactly as sent, so that the shop can find it again; None for the many ways to send none."""
    sent = _text_or_none(value)
    return None if sent is None or sent.strip().lower() in _NO_ID else sent


def text(value: Json) -> str | None:
    """Free text (category, brand, query), cut at 512 characters; the rest adds nothing."""
    sent = identifier(value)
    return None if sent is None else sent.strip()[:_MAX_TEXT]


def _text_or_none(value: Json) -> str | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 512:
        return str(value)
    if not isinstance(value, str):  # a float has lost digits, a bool or a list is a bug
        raise invalid("an id or a text is neither text nor a whole number")
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate: it could not be written to the topic
        raise invalid("a text is not valid Unicode") from None
    return value


def number(value: Json) -> float | None:
    """A finite number from a number or its text ("1299.00"); None if there is none."""
    if value is None or value == "":
        return None
    # float() also takes "1_000", which no vendor means.
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        raise invalid("an amount is not a number")
    try:
        parsed = float(value)
    except (TypeError, ValueError, OverflowError):
        raise invalid("an amount is not a number") from None
    if not math.isfinite(parsed):
        raise invalid("an amount is not finite")
    return parsed


def whole_number(value: Json) -> int | None:
    """A quantity; None if there is none."""
    parsed = number(value)
    if parsed is None:
        return None
    if not parsed.is_integer():
        raise invalid("a quantity is not a whole number")
    return int(parsed)


def currency(value: Json) -> str | None:
    """An ISO 4217 code in upper case; None if there is none."""
    code = text(value)
    return None if code is None else code.upper()


def time_ms(value: Json, unit: TimeUnit = "iso8601") -> int:
    """Event time in ms since the epoch, UTC, from ISO 8601 text with a zone or a count of s, ms, us or ns.

    Raises:
        SkippedItemError: bad_timestamp.
    """
    try:
        if isinstance(value, datetime) or unit == "iso8601":
            return _moment_ms(value)
        if isinstance(value, bool):
            raise TypeError
        count = int(value) if isinstance(value, str) and value.isdecimal() else value
        if isinstance(count, int):
            return count * 1000 // _TICKS_PER_SECOND[unit]
        return round(float(count) * 1000 / _TICKS_PER_SECOND[unit])
    except (TypeError, ValueError, OverflowError):
        words = "ISO 8601 with a zone" if unit == "iso8601" else f"a number of {unit} since the epoch"
        raise SkippedItemError(SkipReason.BAD_TIMESTAMP, f"the time is missing or not {words}") from None


def _moment_ms(value: Json) -> int:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (moment - _EPOCH) // _MILLISECOND  # a moment without a zone is a TypeError here


class Line(NamedTuple):
    """One line of a cart or an order, in contract terms."""

    fields: Fields
    amount: float
    """What the line is worth, to tell which one names the order; 0 where unknown."""


def most_valuable(lines: Iterable[Line]) -> Fields:
    """The product fields of the line worth most (the first of equals); none if there is no line.

    An event of the contract has one product, and one order is one purchase, so that purchases count
    orders; its `value` is the total of all lines.
    """
    best = max(lines, key=lambda line: line.amount, default=None)
    return {} if best is None else best.fields


def line(
    *, product_id: Json, category: Json, brand: Json, price: Json, currency_code: Json, quantity: Json
) -> Line:
    """Read a line's loose values."""
    unit_price, count = number(price), whole_number(quantity)
    fields: Fields = {
        "product_id": identifier(product_id),
        "category": text(category),
        "brand": text(brand),
        "price": unit_price,
        "currency": currency(currency_code),
        "quantity": count,
    }
    return Line(fields, (unit_price or 0.0) * (1 if count is None else count))
