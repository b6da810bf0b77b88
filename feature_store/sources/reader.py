"""Events of files in any supported format, as batches of Event.

    .ndjson .jsonl .json   JSON, a value per line, or an array, or values over several lines
    .csv .tsv              rows of text; how they are written is found by looking
    .parquet               one row per record
    a folder, a pattern    several of these, read as one in the order of their names

Text may be packed as .gz or .zst. The formats are those of feature_store.sources.formats, or a mapping
file's; columns may say the format. A bad record is counted by reason and reported with its place, and the
next one goes on; a file that cannot be read at all is an EventSourceError. Memory stays at one batch,
whatever the size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

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
from feature_store.sources.choice import SourceChoice, zone_of
from feature_store.sources.files.folders import Files, files_of
from feature_store.sources.files.lines import Raw
from feature_store.sources.files.nested import may_be_nested, plain
from feature_store.sources.files.parquet import columns_of, rows_of
from feature_store.sources.files.records import EventFile
from feature_store.sources.formats import (
    CONTRACT,
    MAPPING,
    Adapt,
    Format,
    Origin,
    formats,
    looks_like,
    recognise,
)
from feature_store.sources.report import SourceReport
from feature_store.sources.skips import FAULTS
from feature_store.sources.unmapped import count_names
from feature_store.sources.values.context import Context, DecimalSign
from feature_store.sources.values.units import check_unit

BATCH_EVENTS: Final = 5_000
MAX_PAYLOAD_BYTES: Final = 1 << 20
"""A vendor's payload may carry much that we drop, and several events."""
ID_COLUMNS: Final = frozenset({"event_id", "buyer", "user_id", "session_id", "product_id", "order", "line"})
"""Columns of the contract and the normalised schema that are text, whatever a writer made of them."""


class Whose(NamedTuple):
    """Whose records they are, and how their values are read. store: "" if the records name it.

    context: what the options say. zone: of a parquet file's times, by the option or the mapping file.
    """

    store: str
    identity: Identity
    context: Context
    zone: tzinfo | None


class EventSource:
    """One source of events, of one file or many; made by `open_events`."""

    def __init__(self, path: Path, files: Files, kind: Format, whose: Whose) -> None:
        self.report = SourceReport(path=str(path), format=kind.name)
        self._path = path
        self._files = files
        self._kind = kind
        self._whose = whose
        self._size = max(files.size, 1)
        self._done = 0
        self._open: EventFile | None = None

    @property
    def share_read(self) -> float:
        """How much of the source `batches` has gone through, 0 to 1: for a progress bar."""
        return min((self._done + (self._open.position if self._open else 0)) / self._size, 1.0)

    def count_records(self) -> int:
        """How many records there are, broken ones too; reads all files.

        Raises:
            EventSourceError: a file cannot be read.
        """
        return sum(EventFile(path, self._kind.dialect).count() for path in self._files.paths)

    def batches(self, size: int = BATCH_EVENTS) -> Iterator[list[Event]]:
        """The events in the order of files and records, `size` at a time; fills `report` anew.

        Raises:
            EventSourceError: a file cannot be read, or there is no record.
        """
        self.report = SourceReport(
            path=str(self._path),
            format=self._kind.name,
            files=len(self._files.paths),
            ignored=self._files.ignored,
        )
        self._done = 0
        waiting: list[Event] = []
        checked = False
        for events in self._events():
            waiting += events
            while len(waiting) >= size:
                batch, waiting = waiting[:size], waiting[size:]
                checked = checked or self._check_unit(batch)
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

    def _events(self) -> Iterator[list[Event]]:
        several = len(self._files.paths) > 1
        for path in self._files.paths:
            if several and not path.stat().st_size:
                continue  # exports write empty parts
            file = self._open = EventFile(path, self._kind.dialect)
            _check_columns(file, self._kind)
            whose = self._whose
            self.report.add_read_as(file.read_as(self._kind.read, whose.zone))
            origin = Origin(path, whose.store, whose.identity, whose.context)
            adapt = self._kind.open(origin)
            named = f"{path.name}, " if several else ""
            if file.kind.layout == "json":
                yield from self._values(file, adapt, named)
            elif file.kind.layout == "text":
                yield from self._text_rows(file, adapt, named)
            else:
                yield from self._rows(file, adapt, origin, named)
            self._done, self._open = self._done + file.size, None

    def _values(self, file: EventFile, adapt: Adapt, named: str) -> Iterator[list[Event]]:
        decode = self._kind.decode_line
        limit = MAX_PAYLOAD_BYTES if decode is None else MAX_EVENT_BYTES
        for at, value in file.raw_values(limit):
            self.report.records += 1
            place = named + at
            try:
                if decode is None:
                    yield self._taken(adapt(self._payload(value), value.number), place)
                    continue
                check_record_size(value.length)
                event = decode(value.raw)
                if event is not None:
                    yield [event]
                    continue
                decoded = decode_payload(value)
                adapted = adapt(decoded, value.number)
                if adapted.details:
                    if self.report.records == 1 and (like := looks_like(decoded)) is not None:
                        self.report.looks_like = like.name
                    detail = adapted.details[0].partition(": ")[2]
                    raise InvalidEventError(DeadLetterReason.INVALID_FIELD, detail)
                yield self._taken(adapted, place)
            except InvalidEventError as error:
                self.report.add_invalid(error.reason, 1, [f"{place}: {error}"])

    def _payload(self, value: Raw) -> Any:
        decoded = decode_payload(value)
        if self._kind.payload is not None and may_be_nested(value.raw):
            return plain(decoded, json_text=self._kind.json_text)
        return decoded

    def _text_rows(self, file: EventFile, adapt: Adapt, named: str) -> Iterator[list[Event]]:
        for record in file.text_rows(MAX_PAYLOAD_BYTES):
            self.report.records += 1
            place = named + record.place
            if record.refused is not None:
                self.report.add_invalid(record.refused.reason, 1, [f"{place}: {record.refused}"])
                continue
            row = record.row
            if self._kind.payload is not None:
                row = plain(row, json_text=self._kind.json_text)
            for name in self._kind.numbers & row.keys():
                row[name] = _number(row[name])
            yield self._taken(adapt(row, record.number), place)

    def _rows(self, file: EventFile, adapt: Adapt, origin: Origin, named: str) -> Iterator[list[Event]]:
        opened, number = self._kind.open_columns, 0
        adapt_columns = None if opened is None else opened(origin)
        texts = ID_COLUMNS if self._kind.names_store else ()
        for batch in file.batches(self._kind.read, self._whose.zone, texts):
            self.report.records += batch.num_rows
            if adapt_columns is not None:
                events = adapt_columns(columns_of(batch, times_as_ms=True), number)
                if events is not None:
                    yield events
                    number += batch.num_rows
                    continue
            for row in rows_of(columns_of(batch)):
                record = row if self._kind.payload is None else plain(row, json_text=self._kind.json_text)
                yield self._taken(adapt(record, number), f"{named}row {number}")
                number += 1

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
    timezone: str | None = None,
    decimal: DecimalSign | None = None,
) -> EventSource:
    """Open a source of events, its format found by its columns where `kind` and `mapping` do not say it.

    path: a file, a folder of files, or a pattern of names. `identity` names the buyers of vendor payloads and
    mapped pixels: a BuyerHasher for all that may reach a topic, PlainIds for offline work. Contract and
    normalised files keep their ids. `store`, `timezone` and `decimal` hold before what a mapping file says.

    Raises:
        EventSourceError: a file, its format or the options do not fit.
        AdapterError: the mapping file is wrong.
    """
    files = files_of(path)
    found = _format(files.paths, kind) if mapping is None else _mapped(mapping, kind)
    first = EventFile(files.paths[0], found.dialect)
    _check_columns(first, found)
    given = None if timezone is None else zone_of(timezone)
    zone = zone_of(found.timezone) if given is None and found.timezone is not None else given
    whose = Whose(
        _store_name(path, found, store),
        identity,
        Context(decimal, given),
        zone,
    )
    return EventSource(path, files, found, whose)


def open_chosen(path: Path, identity: Identity, choice: SourceChoice) -> EventSource:
    """open_events with what a user says of the source; see there."""
    return open_events(
        path,
        identity=identity,
        kind=choice.kind,
        mapping=None if choice.mapping is None else Path(choice.mapping),
        store=choice.store,
        timezone=choice.timezone,
        decimal=choice.decimal,
    )


def _mapped(mapping: Path, kind: str | None) -> Format:
    if kind not in (None, MAPPING):
        raise EventSourceError(f"a mapping file says the format: leave --format {kind} out")
    return mapped(MAPPING, load_mapping(mapping))


def _format(paths: list[Path], kind: str | None) -> Format:
    known = formats()
    if kind == MAPPING:
        raise EventSourceError("the format mapping needs a mapping file: add --mapping FILE.toml")
    if kind is not None:
        if kind not in known:
            raise EventSourceError(f"there is no format {kind}: it is one of {', '.join(known)}")
        return known[kind]
    path = next((path for path in paths if path.stat().st_size), paths[0])
    columns = EventFile(path).columns
    if columns is None:
        return known[CONTRACT]
    found = recognise(set(columns))
    if found is None:
        like = looks_like(dict.fromkeys(columns, ""))
        advice = (
            "say --format, or map them with --mapping FILE.toml, which `simpersona events inspect` writes"
            if like is None
            else f"they look like {like.name}: add --format {like.name} --store NAME"
        )
        raise EventSourceError(
            f"{path} has the columns {_named(set(columns))}: no format is known by these; {advice}"
        )
    return found


def _check_columns(file: EventFile, kind: Format) -> None:
    """Refuse a file that cannot be of the format: of another layout, or without its columns."""
    if file.columns is None:
        if not kind.lines:
            raise EventSourceError(
                f"{file.path}: {kind.name} events are read from columns (parquet, CSV), not JSON"
            )
        return
    missing = kind.columns - set(file.columns) if kind.names_store else frozenset()
    if missing:
        raise EventSourceError(
            f"{file.path} is not of the format {kind.name}: it lacks the columns {_named(missing)}; say "
            "--format or --mapping FILE.toml, and read files of several kinds one by one"
        )


def _named(columns: set[str] | frozenset[str]) -> str:
    names = sorted(name[:64] for name in columns)
    return ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")


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


def decode_payload(value: Raw) -> Any:
    """The decoded value of a JSON file.

    Raises:
        InvalidEventError: it is too large or no JSON.
    """
    if value.length > MAX_PAYLOAD_BYTES:
        raise InvalidEventError(
            DeadLetterReason.TOO_LARGE,
            f"the record has {value.length} bytes; a payload has at most {MAX_PAYLOAD_BYTES}",
        )
    try:
        return msgspec.json.decode(value.raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain_invalid(value.raw, error) from None


def _number(cell: Any) -> Any:
    """The number that a cell of text says, as JSON writes numbers; anything else as it is."""
    if not isinstance(cell, str):
        return cell
    try:
        found = msgspec.json.decode(cell)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return cell
    return found if isinstance(found, int | float) and not isinstance(found, bool) else cell
