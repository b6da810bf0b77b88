"""The event contract: what a clickstream event is, and why one is refused.

One typed definition serves the topic (JSON), files (NDJSON) and parquet (same names and types).
Decoding and validation run in C (msgspec); fields outside the contract are dropped while decoding,
so that nothing a shop sends by accident can reach a topic or a row.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from feature_store.contract.names import Name
from feature_store.errors import InvalidEventError

SCHEMA_VERSION: Final = 1
MAX_EVENT_BYTES: Final = 65_536
"""A larger record is a dead letter before it is parsed. Real events are far smaller."""
MAX_CLOCK_AHEAD_MS: Final = 5 * 60 * 1000
"""How far an event time may lie ahead of the record's Kafka CreateTime (design: Clocks)."""

Behaviour = Literal[
    "page_view",
    "list_view",
    "search",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
    "view_cart",
    "begin_checkout",
    "add_payment_info",
    "purchase",
    "sign_up",
    "login",
]
EventType = Literal[Behaviour, "refund"]
"""What a buyer does, and a refund, which a shop does: it lowers what an order is worth, and no more."""
EVENT_TYPES: Final[tuple[str, ...]] = get_args(Behaviour)
"""What buyers do: what states, profiles and traffic count."""
TYPE_CODE: Final[dict[str, int]] = {name: code for code, name in enumerate(get_args(EventType))}
"""Event type -> small int, the order of `EVENT_TYPES`; part of the row format, so append only."""

MAX_MONEY: Final = 1e15
"""The largest amount, in major units: above any order in any currency, and exact in a float64 to 0.125."""
_MAX_DETAIL: Final = 300
_MAX_TIME_MS: Final = 253_402_300_799_999  # 9999-12-31: beyond it, datetime and arrow disagree

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Text = Annotated[str, msgspec.Meta(max_length=512)]
Money = Annotated[float, msgspec.Meta(ge=0, le=MAX_MONEY)]


class DeadLetterReason(enum.StrEnum):
    """Why a record became a dead letter. Bounded: it is a metric label."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    INVALID_UTF8 = "invalid_utf8"
    MALFORMED_JSON = "malformed_json"
    INVALID_FIELD = "invalid_field"
    FUTURE_TIMESTAMP = "future_timestamp"
    KEY_MISMATCH = "key_mismatch"
    WRONG_PARTITION = "wrong_partition"


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing a buyer did (schema version 1).

    timestamp is event time in ms since the epoch, UTC. price (of one unit) and value (of the whole
    event) are in major units of `currency` (ISO 4217). category is a path, coarse to fine, by "/".
    order names the order of a purchase or refund, and line a part of it that comes as an event of its own.
    """

    schema_version: Literal[1]
    event_id: Id
    store: Name
    buyer: Id
    session_id: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    type: EventType
    timestamp: Annotated[int, msgspec.Meta(gt=0, le=_MAX_TIME_MS)]
    product_id: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    category: Text | None = None
    brand: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    price: Money | None = None
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")] | None = None
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    value: Money | None = None
    query: Text | None = None
    order: Id | None = None
    line: Id | None = None


def line_of(line: str | None, value: float | None, product_id: str | None) -> str | None:
    """What names the part of an order that a purchase is; None for the whole.

    A purchase that names an order and a product but no `value` is one row of it: orders have a total.
    """
    return product_id if line is None and value is None else line


_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode


def decode_event(raw: bytes | None) -> Event:
    """Decode and validate one record's value.

    Raises:
        InvalidEventError: with a DeadLetterReason and a sentence that names the field.
    """
    try:
        return _decode(raw)  # type: ignore[arg-type]  # None is handled below, off the hot path
    except Exception as error:
        raise explain_invalid(raw, error) from None


def encode_event(event: Event) -> bytes:
    """The event as the JSON that goes on the topic."""
    return _encode(event)


def explain_invalid(raw: bytes | None, error: Exception) -> InvalidEventError:
    """Turn the decoder's error for `raw` into a reason and a detail that a person understands."""
    if not raw:
        return InvalidEventError(
            DeadLetterReason.EMPTY, "the record has no value; send one JSON event per record"
        )
    if isinstance(error, msgspec.ValidationError):
        return InvalidEventError(DeadLetterReason.INVALID_FIELD, _shorten(str(error)))
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as bad:
        return InvalidEventError(
            DeadLetterReason.INVALID_UTF8, f"byte {bad.start} is not UTF-8; events are UTF-8 JSON"
        )
    return InvalidEventError(DeadLetterReason.MALFORMED_JSON, str(error))


def _shorten(detail: str) -> str:
    """The decoder quotes an unknown `type` whole, however long it is."""
    if len(detail) <= _MAX_DETAIL:
        return detail
    return f"{detail[: _MAX_DETAIL // 2]} ... {detail[-_MAX_DETAIL // 2 :]}"


def check_record_size(size: int) -> None:
    """Refuse a record over MAX_EVENT_BYTES before anything parses it.

    Raises:
        InvalidEventError: too_large.
    """
    if size > MAX_EVENT_BYTES:
        raise InvalidEventError(
            DeadLetterReason.TOO_LARGE, f"the record has {size} bytes; an event has at most {MAX_EVENT_BYTES}"
        )


def check_clock(event: Event, create_time_ms: int) -> None:
    """Refuse an event whose event time is too far ahead of the record's CreateTime.

    Raises:
        InvalidEventError: future_timestamp.
    """
    ahead = event.timestamp - create_time_ms
    if ahead > MAX_CLOCK_AHEAD_MS:
        raise InvalidEventError(
            DeadLetterReason.FUTURE_TIMESTAMP,
            f"timestamp is {ahead / 1000:.0f} s ahead of the record's CreateTime; "
            f"at most {MAX_CLOCK_AHEAD_MS // 1000} s are allowed: check the sender's clock and unit (ms)",
        )


def record_key(store: str, buyer: str) -> bytes:
    """The Kafka key of a buyer's records: UTF-8 of `store|buyer`, partitioned by murmur2."""
    return f"{store}|{buyer}".encode()


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an event, made from the one definition."""
    schema = msgspec.json.schema(Event)
    for field in schema["$defs"]["Event"]["properties"].values():
        for variant in (field, *field.get("anyOf", ())):
            if "pattern" in variant:  # JSON Schema's regular expressions are JavaScript's: no \Z there
                variant["pattern"] = variant["pattern"].replace(r"\Z", "$")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
