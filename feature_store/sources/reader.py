"""Files of events in any supported format, as batches of Event.

    .ndjson .jsonl (.gz)   one JSON value a line: contract events, a vendor's payloads, an own pixel's records
    .parquet               contract columns (so an archive file), normalised columns, GA4's BigQuery export,
                           an own pixel's rows

A bad record is counted by reason and reported with its place, and the next one goes on; a file that cannot
be read at all is an EventSourceError. Memory stays at one batch, whatever the file's size.
"""

from __future__ import annotations

import enum
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from feature_store.contract.events import (
    MAX_EVENT_BYTES,
    DeadLetterReason,
    Event,
    check_record_size,
    decode_event,
    explain_invalid,
)
from feature_store.contract.identity import Identity
from feature_store.contract.names import NAME_RULE, is_name
from feature_store.errors import EventSourceError, InvalidEventError
from feature_store.sources.adapters import ga4, normalised, segment, shopify
from feature_store.sources.adapters.common import FAULTS, Adapted, SkipReason
from feature_store.sources.adapters.mapping import PixelMapping, load_mapping
from feature_store.sources.records import (
    LINE_SUFFIXES,
    is_lines,
    line_bytes,
    parquet_columns,
    parquet_rows,
    read_lines,
    read_rows,
)

BATCH_EVENTS: Final = 5_000
MAX_PAYLOAD_BYTES: Final = 1 << 20
"""A vendor's payload may carry much that we drop, and several events."""
_EXAMPLES: Final = 5
_CONTRACT_COLUMNS: Final = Event.__struct_fields__
_REQUIRED_COLUMNS: Final = frozenset({"schema_version", "event_id", "store", "buyer", "type", "timestamp"})
_GA4_COLUMNS: Final = frozenset({"event_name", "event_timestamp", "user_pseudo_id"})

Adapt: TypeAlias = Callable[[Any, int], Adapted]
"""(decoded record, its number) -> events."""


class Format(enum.StrEnum):
    """What a record of a file is."""

    CONTRACT = "contract"
    NORMALISED = "normalised"
    SHOPIFY = "shopify"
    SEGMENT = "segment"
    GA4 = "ga4"
    MAPPING = "mapping"


_VENDORS: Final = {Format.SHOPIFY: shopify.adapt, Format.SEGMENT: segment.adapt, Format.GA4: ga4.adapt}


class SourceReport(msgspec.Struct):
    """What was read so far. A record is a line or a row; a payload may hold several events or none.

    skipped: items that are no events of ours (bots, unmapped names); invalid: broken ones; both by reason.
    first_timestamp, last_timestamp: ms since the epoch, the least and the greatest event time.
    """

    path: str
    format: str
    records: int = 0
    events: int = 0
    types: dict[str, int] = {}
    first_timestamp: int | None = None
    last_timestamp: int | None = None
    skipped: dict[str, int] = {}
    invalid: dict[str, int] = {}
    examples: list[str] = []

    def add_events(self, events: Sequence[Event]) -> None:
        """Count events."""
        self.events += len(events)
        for name, count in Counter(event.type for event in events).items():
            self.types[name] = self.types.get(name, 0) + count
        times = [event.timestamp for event in events]
        self.first_timestamp = min(filter(None, [self.first_timestamp, *times]))
        self.last_timestamp = max(filter(None, [self.last_timestamp, *times]))

    def add_skipped(self, reason: str, count: int) -> None:
        """Count items that are no events."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def add_invalid(self, reason: str, count: int, examples: Sequence[str]) -> None:
        """Count broken items, and keep the first few examples of the file."""
        self.invalid[reason] = self.invalid.get(reason, 0) + count
        self.examples += examples[: _EXAMPLES - len(self.examples)]

    @property
    def not_taken(self) -> str:
        """Why records gave no event, in a sentence: reasons with counts, and the first broken record."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in (self.invalid | self.skipped).items())
        example = f"; {self.examples[0]}" if self.examples else ""
        return f"of {self.records} records not taken: {reasons}{example}"


class EventSource:
    """One file of events; made by `open_events`."""

    def __init__(self, path: Path, kind: Format, adapt: Adapt | None) -> None:
        """`adapt` is None for contract events in NDJSON: they are decoded and validated in one step."""
        self.report = SourceReport(path=str(path), format=kind)
        self._path = path
        self._kind = kind
        self._adapt = adapt
        self._length = max(line_bytes(path) if is_lines(path) else parquet_rows(path), 1)
        self._at = 0

    @property
    def share_read(self) -> float:
        """How much of the file `batches` has gone through, 0 to 1: for a progress bar."""
        return min(self._at / self._length, 1.0)

    def batches(self, size: int = BATCH_EVENTS) -> Iterator[list[Event]]:
        """The events in file order, `size` at a time; fills `report` anew.

        Raises:
            EventSourceError: the file cannot be read, or holds no record.
        """
        self.report = SourceReport(path=str(self._path), format=self._kind)
        self._at = 0
        waiting: list[Event] = []
        for events in self._lines() if is_lines(self._path) else self._rows():
            waiting += events
            while len(waiting) >= size:
                batch, waiting = waiting[:size], waiting[size:]
                self.report.add_events(batch)
                yield batch
        if waiting:
            self.report.add_events(waiting)
            yield waiting
        if not self.report.records:
            raise EventSourceError(f"{self._path} holds no records")

    def _lines(self) -> Iterator[list[Event]]:
        limit = MAX_EVENT_BYTES if self._adapt is None else MAX_PAYLOAD_BYTES
        for number, raw, length in read_lines(self._path, limit):
            place = f"line {number}"
            self._at += length
            self.report.records += 1
            try:
                if self._adapt is None:
                    check_record_size(length)
                    yield [decode_event(raw)]
                else:
                    yield self._taken(self._adapt(_decode_payload(raw, length), number), place)
            except InvalidEventError as error:
                self.report.add_invalid(error.reason, 1, [f"{place}: {error}"])

    def _rows(self) -> Iterator[list[Event]]:
        assert self._adapt is not None  # open_events gives every parquet format an adapter
        columns = None
        if self._kind in (Format.CONTRACT, Format.NORMALISED):
            wanted = _CONTRACT_COLUMNS if self._kind is Format.CONTRACT else normalised.COLUMNS
            columns = [name for name in parquet_columns(self._path) if name in wanted]
        for rows in read_rows(self._path, columns):
            number, self._at = self._at, self._at + len(rows)
            self.report.records += len(rows)
            if self._kind is Format.CONTRACT and (events := _convert_all(rows)) is not None:
                yield events
                continue
            for i, row in enumerate(rows, number):
                yield self._taken(self._adapt(row, i), f"row {i}")

    def _taken(self, adapted: Adapted, place: str) -> list[Event]:
        for reason, count in adapted.skipped.items():
            if reason not in FAULTS:
                self.report.add_skipped(reason, count)
            else:
                examples = [f"{place}: {detail}" for detail in adapted.details if detail.startswith(reason)]
                self.report.add_invalid(reason, count, examples)
        return adapted.events


def open_events(
    path: Path,
    *,
    identity: Identity,
    kind: Format | None = None,
    mapping: Path | None = None,
    store: str | None = None,
) -> EventSource:
    """Open a file of events, its format found by name and columns where `kind` and `mapping` do not say it.

    `identity` names the buyers of vendor payloads and mapped pixels: a BuyerHasher for all that may reach a
    topic, PlainIds for offline work. Contract and normalised files keep their ids. `store` names the shop of
    a vendor's or mapped file.

    Raises:
        EventSourceError: the file, its format or the options do not fit.
        AdapterError: the mapping file is wrong.
    """
    if not path.is_file():
        raise EventSourceError(f"there is no file {path}")
    pixel = None if mapping is None else load_mapping(mapping)
    kind = _format(path, kind, pixel)
    if kind is Format.CONTRACT or kind is Format.NORMALISED:
        if store is not None:
            raise EventSourceError(f"{path} names the store of each event itself: leave --store out")
    else:
        store = _store_name(path, kind, store or (pixel.store if pixel else None))
    return EventSource(path, kind, _adapter(path, kind, pixel, store or "", identity))


def _format(path: Path, kind: Format | None, pixel: PixelMapping | None) -> Format:
    lines = is_lines(path)
    if not lines and path.suffix.lower() != ".parquet":
        raise EventSourceError(
            f"{path} is of no supported kind: events are read from {', '.join(LINE_SUFFIXES)} and .parquet"
        )
    if pixel is not None:
        if kind not in (None, Format.MAPPING):
            raise EventSourceError(f"a mapping file says the format: leave --format {kind} out")
        return Format.MAPPING
    if kind is Format.MAPPING:
        raise EventSourceError("the format mapping needs a mapping file: add --mapping FILE.toml")
    if lines:
        if kind is Format.NORMALISED:
            raise EventSourceError(f"{path}: normalised events are read from .parquet only")
        return kind or Format.CONTRACT
    return kind or _format_of_columns(path, set(parquet_columns(path)))


def _format_of_columns(path: Path, columns: set[str]) -> Format:
    if columns >= _REQUIRED_COLUMNS:
        return Format.CONTRACT
    if columns >= set(normalised.COLUMNS):
        return Format.NORMALISED
    if columns >= _GA4_COLUMNS:
        return Format.GA4
    raise EventSourceError(
        f"{path} has the columns {', '.join(sorted(columns)[:12])}: neither contract nor normalised events; "
        "say --format, or map them with --mapping FILE.toml"
    )


def _store_name(path: Path, kind: Format, store: str | None) -> str:
    if store is None:
        raise EventSourceError(f"{path} ({kind}) does not say which shop it is of: add --store NAME")
    if not is_name(store):
        raise EventSourceError(f"{store!r} is no store name: {NAME_RULE}")
    return store


def _adapter(
    path: Path, kind: Format, pixel: PixelMapping | None, store: str, identity: Identity
) -> Adapt | None:
    if pixel is not None:
        return lambda record, _: pixel.adapt(record, store=store, hasher=identity)
    if kind in _VENDORS:
        adapt = _VENDORS[kind]
        return lambda payload, _: adapt(payload, store=store, hasher=identity)
    if kind is Format.NORMALISED:
        with path.open("rb") as file:
            file_id = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        return lambda row, number: normalised.adapt(row, file_id=file_id, number=number)
    return None if is_lines(path) else lambda row, _: _adapt_contract_row(row)


def _adapt_contract_row(row: dict[str, Any]) -> Adapted:
    try:
        return Adapted([msgspec.convert(row, Event)], {}, [], [], [0])
    except msgspec.ValidationError as error:
        return Adapted([], {SkipReason.INVALID: 1}, [f"{SkipReason.INVALID}: {error}"], [0], [])


def _convert_all(rows: list[dict[str, Any]]) -> list[Event] | None:
    """Contract rows at once, which is three times as fast as one by one; None where one is invalid."""
    try:
        return msgspec.convert(rows, list[Event])
    except msgspec.ValidationError:
        return None


def _decode_payload(raw: bytes, length: int) -> Any:
    if length > MAX_PAYLOAD_BYTES:
        raise InvalidEventError(
            DeadLetterReason.TOO_LARGE,
            f"the line has {length} bytes; a payload has at most {MAX_PAYLOAD_BYTES}",
        )
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise explain_invalid(raw, error) from None
