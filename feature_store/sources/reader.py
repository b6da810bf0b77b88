"""Files of events in any supported format, as batches of Event.

    .ndjson .jsonl (.gz)   one JSON value per line
    .parquet               one row per record; the columns may say the format

The formats are those of feature_store.sources.formats, or a mapping file's. A bad record is counted by reason
and reported with its place, and the next one goes on; a file that cannot be read at all is an
EventSourceError. Memory stays at one batch, whatever the file's size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from feature_store.contract.events import (
    MAX_EVENT_BYTES,
    DeadLetterReason,
    Event,
    check_record_size,
    explain_invalid,
)
from feature_store.contract.identity import Identity
from feature_store.contract.names import NAME_RULE, is_name
from feature_store.errors import EventSourceError, InvalidEventError
from feature_store.sources.adapters.common import Adapted
from feature_store.sources.adapters.mapping.loading import load_mapping
from feature_store.sources.adapters.presets import mapped
from feature_store.sources.formats import CONTRACT, MAPPING, Adapt, Format, Origin, formats, recognise
from feature_store.sources.records import (
    LINE_SUFFIXES,
    is_lines,
    line_bytes,
    parquet_columns,
    parquet_rows,
    read_lines,
    read_rows,
)
from feature_store.sources.skips import FAULTS
from feature_store.sources.unmapped import UnmappedName, count_names
from feature_store.sources.values.notes import Note, Tallies, count_note
from feature_store.sources.values.units import check_unit

BATCH_EVENTS: Final = 5_000
MAX_PAYLOAD_BYTES: Final = 1 << 20
"""A vendor's payload may carry much that we drop, and several events."""
_EXAMPLES: Final = 5


class SourceReport(msgspec.Struct):
    """What was read so far. A record is a line or a row; a payload may hold several events or none.

    skipped: items that are no events of ours (bots, unmapped names); invalid: broken ones; both by reason.
    repaired, emptied, assumed: values of events that were not taken as sent, by field and reason.
    unmapped: names of events that nothing here knows.
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
    repaired: Tallies = {}
    emptied: Tallies = {}
    assumed: Tallies = {}
    unmapped: dict[str, UnmappedName] = {}

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

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Count values that were not taken as sent."""
        for note in notes:
            count_note(getattr(self, note.kind), note)

    @property
    def not_taken(self) -> str:
        """Why records gave no event, in a sentence: reasons with counts, and the first broken record."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in (self.invalid | self.skipped).items())
        example = f"; {self.examples[0]}" if self.examples else ""
        return f"of {self.records} records not taken: {reasons}{example}"


class EventSource:
    """One file of events; made by `open_events`."""

    def __init__(self, path: Path, kind: Format, adapt: Adapt) -> None:
        self.report = SourceReport(path=str(path), format=kind.name)
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
            EventSourceError: the file cannot be read, holds no record, or its times are of another unit.
        """
        self.report = SourceReport(path=str(self._path), format=self._kind.name)
        self._at = 0
        waiting: list[Event] = []
        checked = False
        for events in self._lines() if is_lines(self._path) else self._rows():
            waiting += events
            while len(waiting) >= size:
                batch, waiting = waiting[:size], waiting[size:]
                if not checked:
                    checked = self._check_unit(batch)
                self.report.add_events(batch)
                yield batch
        if waiting:
            if not checked:
                self._check_unit(waiting)
            self.report.add_events(waiting)
            yield waiting
        if not self.report.records:
            raise EventSourceError(f"{self._path} holds no records")

    def _check_unit(self, events: Sequence[Event]) -> bool:
        check_unit(self._path, [event.timestamp for event in events], self._kind.time_unit)
        return True

    def _lines(self) -> Iterator[list[Event]]:
        decode = self._kind.decode_line
        limit = MAX_PAYLOAD_BYTES if decode is None else MAX_EVENT_BYTES
        for number, raw, length in read_lines(self._path, limit):
            place = f"line {number}"
            self._at += length
            self.report.records += 1
            try:
                if decode is None:
                    yield self._taken(self._adapt(_decode_payload(raw, length), number), place)
                    continue
                check_record_size(length)
                event = decode(raw)
                if event is None:
                    adapted = self._adapt(_decode_payload(raw, length), number)
                    if adapted.details:
                        raise InvalidEventError(
                            DeadLetterReason.INVALID_FIELD, adapted.details[0].partition(": ")[2]
                        )
                    yield self._taken(adapted, place)
                else:
                    yield [event]
            except InvalidEventError as error:
                self.report.add_invalid(error.reason, 1, [f"{place}: {error}"])

    def _rows(self) -> Iterator[list[Event]]:
        columns = None
        if (wanted := self._kind.read) is not None:
            columns = [name for name in parquet_columns(self._path) if name in wanted]
        convert = self._kind.convert_rows
        for rows in read_rows(self._path, columns):
            number, self._at = self._at, self._at + len(rows)
            self.report.records += len(rows)
            if convert is not None and (events := convert(rows)) is not None:
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
        if adapted.notes:
            self.report.add_notes(adapted.notes)
        if adapted.unmapped:
            count_names(self.report.unmapped, adapted.unmapped, self._kind.names)
        return adapted.events


def open_events(
    path: Path,
    *,
    identity: Identity,
    kind: str | None = None,
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
    if not is_lines(path) and path.suffix.lower() != ".parquet":
        raise EventSourceError(
            f"{path} is of no supported kind: events are read from {', '.join(LINE_SUFFIXES)} and .parquet"
        )
    found = _format(path, kind) if mapping is None else _mapped(mapping, kind)
    if is_lines(path) and not found.lines:
        raise EventSourceError(f"{path}: {found.name} events are read from .parquet only")
    whose = _store_name(path, found, store)
    return EventSource(path, found, found.open(Origin(path, whose, identity)))


def _mapped(mapping: Path, kind: str | None) -> Format:
    if kind not in (None, MAPPING):
        raise EventSourceError(f"a mapping file says the format: leave --format {kind} out")
    return mapped(MAPPING, load_mapping(mapping))


def _format(path: Path, kind: str | None) -> Format:
    known = formats()
    if kind == MAPPING:
        raise EventSourceError("the format mapping needs a mapping file: add --mapping FILE.toml")
    if kind is not None:
        if kind not in known:
            raise EventSourceError(f"there is no format {kind}: it is one of {', '.join(known)}")
        return known[kind]
    if is_lines(path):
        return known[CONTRACT]
    columns = set(parquet_columns(path))
    found = recognise(columns)
    if found is None:
        raise EventSourceError(
            f"{path} has the columns {', '.join(sorted(columns)[:12])}: no format is known by these; "
            "say --format, or map them with --mapping FILE.toml"
        )
    return found


def _store_name(path: Path, kind: Format, store: str | None) -> str:
    if kind.names_store:
        if store is not None:
            raise EventSourceError(f"{path} names the store of each event itself: leave --store out")
        return ""
    store = store or kind.store
    if store is None:
        raise EventSourceError(f"{path} ({kind.name}) does not say which shop it is of: add --store NAME")
    if not is_name(store):
        raise EventSourceError(f"{store!r} is no store name: {NAME_RULE}")
    return store


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
